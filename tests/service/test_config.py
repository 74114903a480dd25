"""Variables: versions, encrypted, seen by those builds that declare them, masked in their logs."""

from __future__ import annotations

import base64

import pytest
from support import passing_project, running

server = pytest.fixture(scope="module")(running)
project = pytest.fixture(passing_project)

TOML = """[build]
command = "mkdir out; echo $GREETING > out/index.html; echo $KEY; echo $KEY | base64"
output = "out"
"""


def test_a_declared_variable_reaches_the_build_and_another_value_is_another_build(server, project):
    server.cli("config", "set", "blog", "GREETING=hello", "--build")
    server.cli("config", "set", "blog", "KEY=-", "--build", "--secret", stdin="s3cr3t-of-the-site\n")
    project.commit("one", gitdeploy_toml=TOML + 'env = ["GREETING", "KEY"]\n')
    pushed = project.push("main")
    assert pushed.ok, pushed.out
    assert server.get("blog").text == "hello\n"
    log = server.cli("logs", "blog").stdout
    for form in ("s3cr3t-of-the-site", base64.b64encode(b"s3cr3t-of-the-site\n").decode()[:20]):
        assert form not in pushed.out
        assert form not in log

    server.cli("config", "set", "blog", "OTHER=x", "--build")
    assert "reused" in project.push("HEAD:promote/main").out
    server.cli("config", "set", "blog", "GREETING=goodbye", "--build")
    assert "reused" not in project.push("HEAD:promote/main").out
    assert server.get("blog").text == "goodbye\n"


def test_an_undeclared_variable_stays_unseen(server, project):
    server.cli("config", "set", "blog", "GREETING=hello", "--build")
    project.commit("one", gitdeploy_toml=TOML)
    assert project.push("main").ok
    assert server.get("blog").text == "\n"


def test_secrets_are_encrypted_at_rest_and_never_shown(server, project):
    server.cli("config", "set", "blog", "TOKEN=very-secret-value", "--secret")
    server.cli("config", "set", "blog", "COLOR=blue")
    found = server.facts("config", "list", "blog")
    assert found["version"] == "c2"
    assert found["variables"]["TOKEN"] == {"value": None, "secret": True}
    assert server.cli("config", "get", "blog", "COLOR").stdout == "blue\n"
    assert server.cli("config", "get", "blog", "TOKEN").stdout == "(secret)\n"
    for path in server.home.glob("ledger.db*"):
        assert b"very-secret-value" not in path.read_bytes()
    server.cli("config", "unset", "blog", "TOKEN")
    assert "TOKEN" not in server.facts("config", "list", "blog")["variables"]


def test_bad_names_are_refused(server, project):
    for words, said in (
        (("9X=1",), "not a variable's name"),
        (("PORT=1",), "set by gitdeploy itself"),
        (("justname",), "is not NAME=VALUE"),
    ):
        refused = server.cli("config", "set", "blog", *words, check=False)
        assert refused.returncode == 2
        assert said in refused.stderr
    assert server.cli("config", "unset", "blog", "NOPE", check=False).returncode == 2
