"""The edge for one environment alone: every host gets it, and nothing else of a home has to be there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import free_port
from edge_support import Edge
from support import eventually

from gitdeploy.domain.serving import Rules, parse_redirects
from gitdeploy.store.home import Home


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    slot = tmp_path / "sites/site/env/slots/one"
    (slot / "root/css").mkdir(parents=True)
    (slot / "root/index.html").write_text("home")
    (slot / "root/css/a.css").write_text("a {}")
    (slot / "root/latest.html").symlink_to("index.html")
    (slot / "rules.json").write_text(json.dumps(Rules(redirects=parse_redirects("/old /new\n")).as_json()))
    (slot / "at:site:env:one:rules").touch()
    (tmp_path / "sites/site/env/current").symlink_to("slots/one")
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "gitdeploy.runtime.edge", "--home", str(tmp_path), "--only", "sites/site/env",
         "--listen", f"127.0.0.1:{port}"],
    )  # fmt: skip
    one = Edge(Home(tmp_path), "embedded", ("127.0.0.1", port))
    try:
        yield one
    finally:
        process.terminate()
        assert process.wait(timeout=20) in (0, -15)


def _answers(edge: Edge) -> bool:
    try:
        return edge.get("any", "/").status == 200
    except OSError:
        return False


def test_every_host_gets_the_one_environment(edge: Edge) -> None:
    eventually(lambda: _answers(edge))
    for host in ("example.org", "blog.localhost", "127.0.0.1:8080", "[::1]", "a--b.example.org"):
        assert edge.get(host, "/").body == b"home", host
    assert edge.get("example.org", "/css/a.css").body == b"a {}"
    assert edge.get("example.org", "/latest.html").body == b"home"
    assert edge.get("example.org", "/old").headers["location"] == "/new"
    assert edge.get("example.org", "/none").status == 404
    assert {one.name for one in edge.home.root.iterdir()} == {"sites"}
