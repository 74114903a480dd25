"""Commands that change a site, and those that need none."""

from __future__ import annotations

import pytest
from cli_support import with_preview
from support import passing_project, running

server = pytest.fixture(scope="module", params=["embedded"])(running)
project = pytest.fixture(passing_project)


@pytest.fixture
def blog(project):
    return with_preview(project)


def test_live_at_answers_what_was_live_when(server, blog):
    first = server.facts("live", "blog")
    assert blog.push("HEAD:promote/feature/x").ok
    second = server.facts("live", "blog")
    assert server.facts("live", "blog", "--at", first["live_at"])["release"] == first["release"]
    assert server.facts("live", "blog", "--at", second["live_at"])["release"] == second["release"]
    assert server.facts("live", "blog", "--at", "2001-01-01T00:00Z") is None


def test_a_lock_stops_releases_and_not_rollbacks(server, blog):
    server.cli("lock", "blog", "--reason", "inventory")
    refused = blog.push("HEAD:promote/feature/x")
    assert refused.code == 1
    assert "inventory" in refused.out
    assert server.cli("promote", "blog", "feature/x", "--yes", check=False).returncode == 4
    server.cli("unlock", "blog")
    assert blog.push("HEAD:promote/feature/x").ok
    server.cli("lock", "blog", "--reason", "night")
    assert blog.push("HEAD:rollback/previous").ok


@pytest.mark.parametrize("server", ["embedded", "caddy"], indirect=True)
def test_rename_and_remove(server, blog):
    build = server.facts("live", "blog")["build"].lower().replace("_", "-")
    assert server.get(f"{build}--blog").text == "one"
    server.cli("site", "rename", "blog", "journal")
    assert server.get("journal").text == "one"
    assert server.get("feature-x--journal").text == "two"
    assert server.get(f"{build}--journal").text == "one"
    assert server.get("blog").status == 404
    blog.git("remote", "set-url", "managed", server.remote("journal", "maya", "maintainer"))
    assert blog.push("HEAD:promote/feature/x").ok
    server.cli("site", "remove", "journal", "--yes")
    assert server.get("journal").status == 404
    assert server.facts("site", "list") == []
    server.cli("gc")
    assert server.facts("fsck")["problems"] == []


def test_completion_and_init(server, tmp_path):
    assert "_GITDEPLOY_COMPLETE" in server.cli("completion", "bash").stdout
    server.cli("init", str(tmp_path))
    assert (tmp_path / "gitdeploy.toml").read_text() == server.cli("docs").stdout
    assert server.cli("init", str(tmp_path), check=False).returncode == 4
