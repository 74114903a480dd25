"""What stops a start, and the one sentence that says why. Nothing is served wrongly, nothing is thrown away."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from crash_ground import SITE, assert_agreed, assert_settled, mortal, passing_releases
from support import GITDEPLOY

server = pytest.fixture(scope="module")(mortal)
project = pytest.fixture(passing_releases)
STRIDES = pytest.mark.parametrize("stride", [3, pytest.param(1, marks=pytest.mark.soak)])
"""The ordinary run dies at every third step."""


def refused(server) -> str:
    """What a start says that does not come about: one sentence and a hint, never a traceback."""
    done = subprocess.run(
        [*GITDEPLOY, "serve", "--home", str(server.home), "--listen", "127.0.0.1:0", "--edge", server.edge],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode not in (0, -15), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_two_daemons_cannot_serve_one_home(server, project):
    before = server.said()
    assert f"Another gitdeploy already serves {server.home}." in refused(server)
    assert server.said() == before
    project.commit("three", index_html="three")
    assert project.push("main").ok


@pytest.mark.parametrize(
    "damage",
    ["page", pytest.param("header", marks=pytest.mark.soak), pytest.param("cut", marks=pytest.mark.soak)],
)
def test_a_damaged_ledger_stops_the_start_and_not_the_sites(server, project, damage):
    server.stop()
    ledger = server.home / "ledger.db"
    whole = ledger.read_bytes()
    if damage == "header":
        ledger.write_bytes(b"not a database at all" + whole[21:])
    elif damage == "page":
        ledger.write_bytes(whole[:4096] + b"\xff" * 4096 * 20 + whole[4096 * 21 :])
    else:
        ledger.write_bytes(whole[: len(whole) // 2])
    said = refused(server)
    assert "The ledger" in said and "gitdeploy recover" in said
    assert server.get(SITE).text == "two"
    ledger.write_bytes(whole)
    server.start()
    assert assert_agreed(server, project).page == "two"


@pytest.mark.parametrize("left", ["nothing", pytest.param("an empty file", marks=pytest.mark.soak)])
def test_a_lost_ledger_stops_the_start_before_its_sites_are_collected_as_rubbish(server, project, left):
    server.stop()
    for one in server.home.glob("ledger.db*"):
        one.unlink()
    if left == "an empty file":
        (server.home / "ledger.db").touch()
    assert "gitdeploy recover" in refused(server)
    assert server.get(SITE).text == "two"
    (server.home / "ledger.db").rename(server.home / "ledger.db.old")
    assert server.cli("recover").returncode == 0
    server.start()
    project.git("remote", "set-url", "managed", server.remote(SITE, "maya", "maintainer"))
    project.commit("three", index_html="three")
    assert project.push("main").ok
    assert project.push("HEAD:rollback/r1").ok
    assert server.get(SITE).text == "one"


def test_one_damaged_site_does_not_stop_the_others(server, project):
    """A repository that is not there, and a pointer that needs mending: that is one site's own trouble."""
    server.cli("site", "create", "shop")
    project.git("remote", "add", "shop", server.remote("shop", "maya", "maintainer"))
    assert project.push("main", remote="shop").ok
    server.stop()
    (server.home / "sites/blog/production/current").unlink()
    blog = server.repository.rename(server.repository.with_suffix(".away"))
    server.start()
    assert server.get("shop").text == "two"
    blog.rename(server.repository)
    server.kill_daemon()
    project.commit("three", index_html="three")
    assert project.push("main").ok
    assert assert_agreed(server, project).page == "three"


@STRIDES
def test_a_rename_that_was_killed_is_finished(server, project, stride):
    """At whatever step of it: the site is there under one name, whole, and takes pushes."""
    names = ["blog", "news"]
    number = 1
    while True:
        server.die_at(number)
        server.cli("site", "rename", names[0], names[1], check=False)
        died = server.died()
        there = [one["name"] for one in server.facts("site", "list")]
        assert there in ([names[0]], [names[1]])
        if there == [names[1]]:
            names.reverse()
        (now,) = there
        assert server.get(now).text == "two"
        assert server.get({"blog": "news", "news": "blog"}[now]).status == 404
        project.git("remote", "set-url", "managed", server.remote(now, "maya"))
        assert project.push("HEAD:rollback/r2").ok
        if not died:
            break
        number += stride
    assert number > 3


def test_a_repository_that_no_site_has_is_not_taken_for_a_new_one(server, project):
    stranger = server.home / "repos/stranger.git"
    project.git("clone", "-q", "--bare", str(project.folder), str(stranger))
    before = project.git("--git-dir", str(stranger), "for-each-ref")
    refused = server.cli("site", "create", "stranger", check=False)
    assert refused.returncode == 4
    assert "repository of a site that is no longer there" in refused.stderr
    server.kill_daemon()
    assert project.git("--git-dir", str(stranger), "for-each-ref") == before
    shutil.rmtree(stranger)


@STRIDES
def test_a_removed_site_does_not_come_back_under_its_name(server, project, stride):
    """Killed half-way through its removal, and made again: no release, no branch and no right of the old one."""
    number = 1
    while True:
        server.die_at(number)
        server.cli("site", "remove", SITE, "--yes", check=False)
        died = server.died()
        if not died:
            break
        number += stride
        if server.facts("site", "list"):
            continue
        assert not server.repository.exists()
        assert not (server.home / "sites" / SITE).exists()
        server.cli("site", "create", SITE)
        assert server.refs() == {}
        assert server.get(SITE).status == 404
        refused = project.push("main")
        assert not refused.ok, "maya's role was on the old site"
        server.cli("access", "grant", "maya", "maintainer", "--site", SITE)
        for page in ("one", "two"):
            project.commit(page, index_html=page)
            assert project.push("main").ok
        assert_settled(server)
    assert number > 2
