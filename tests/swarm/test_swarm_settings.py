"""What server.toml and gitdeploy.toml can say about running elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitdeploy.domain.settings import parse
from gitdeploy.errors import Invalid
from gitdeploy.service.server import Server
from gitdeploy.service.server_file import PASSWORD
from gitdeploy.service.server_file import load as read


def load(tmp_path: Path, text: str) -> Server:
    path = tmp_path / "server.toml"
    path.write_text(f"[swarm]\n{text}\n")
    return read(path)


def test_the_servers_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = load(
        tmp_path, 'registry = "127.0.0.1:5000/team"\nuser = "me"\npassword = "s3cret"\nport = 8080'
    ).swarm
    assert (said.registry, said.user) == ("127.0.0.1:5000/team", "me")
    assert (said.port, said.network) == (8080, "gitdeploy")
    assert "s3cret" not in repr(said)
    monkeypatch.setenv(PASSWORD, "of the environment")
    assert load(tmp_path, 'registry = "127.0.0.1:5000"\nuser = "me"').swarm.password == "of the environment"
    monkeypatch.delenv(PASSWORD)
    for text, why in (
        ('registry = "a team"', "registry"),
        ('registry = "team"', "should begin with an address"),
        ('base = "No Name"', "base"),
        ('user = "me"', "belong together"),
        ('password = "me"', "belong together"),
        ("port = 0", "port"),
        ('port = "80"', "wrong type"),
        ("registrie = 1", "not understood"),
    ):
        with pytest.raises(Invalid, match=why):
            load(tmp_path, text)


def test_the_sites_part() -> None:
    text = '[runtime]\ndriver = "swarm"\nbase = "python:3.12-slim"\nplacement = ["node.labels.zone==a"]\n'
    assert parse(text).as_json()["runtime"] == {
        "driver": "swarm", "base": "python:3.12-slim", "placement": ["node.labels.zone==a"],
    }  # fmt: skip
    assert parse("").as_json()["runtime"] == {"driver": "local", "base": "", "placement": []}
    for wrong in ('driver = "kubernetes"', 'base = "A B"', 'placement = ["zone a"]', "nodes = 3"):
        with pytest.raises(Invalid, match="runtime"):
            parse(f"[runtime]\n{wrong}\n")
