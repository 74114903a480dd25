"""kill -9 of everything around the daemon: git, its hooks, a build, the edge."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from crash_ground import SITE, assert_agreed, assert_settled, kill, mortal, passing_releases, processes, truth
from held import Going, Held
from support import eventually

server = pytest.fixture(scope="module")(mortal)
project = pytest.fixture(passing_releases)

HOST = f"feature--{SITE}"


@pytest.mark.parametrize(
    "who",
    [
        "receive-pack",
        pytest.param("hooks/proc-receive", marks=pytest.mark.soak),
        pytest.param("http-backend", marks=pytest.mark.soak),
    ],
)
def test_killing_what_asked_takes_nothing_out_of_the_lane(server, project, who):
    """Whatever the pusher hears, what the lane has accepted is finished, and the branch says so."""
    held = Held(server, project)
    new = project.commit("three", index_html="three")
    push = Going(project, "managed", "main")
    held.wait()
    kill(processes(server, who))
    assert truth(server).page == "two"
    held.go()
    push.ended()
    eventually(lambda: truth(server).main == new)
    assert_settled(server)
    assert assert_agreed(server, project).page == "three"
    assert "up-to-date" in project.push("main").out


def test_a_killed_git_does_not_lose_a_preview_that_it_accepted(server, project):
    held = Held(server, project)
    project.commit("three", index_html="three")
    push = Going(project, "managed", "HEAD:feature")
    held.wait()
    kill(processes(server, "receive-pack"))
    push.ended()
    held.go()
    eventually(lambda: server.get(HOST).text == "three")
    assert_settled(server)


def test_a_git_that_dies_between_the_branch_and_its_hook_loses_nothing(server, project):
    """The branch has moved and nobody could say so: the daemon finds that out, and builds as the pusher asked."""
    hook = server.home / "hooks/post-receive"
    text = hook.read_bytes()
    hook.write_text("#!/bin/sh\nkill -9 $PPID\n")
    project.commit("three", index_html="three")
    pushed = project.push("-o", "reason=because", "HEAD:feature")
    hook.write_bytes(text)
    assert not pushed.ok
    assert server.refs()["refs/heads/feature"] == project.git("rev-parse", "HEAD")
    eventually(lambda: server.get(HOST).text == "three", seconds=30)
    assert_settled(server)
    live = server.rows("SELECT * FROM releases WHERE env = 'feature' AND state = 'live'")
    assert [(one["actor"], one["reason"]) for one in live] == [("maya", "because")]


def test_what_an_environment_accepted_while_it_was_locked_goes_live_afterwards(server, project):
    project.commit("rules", index_html="rules", gitdeploy_toml='[environments.staging]\nbranch = "stage"\n')
    assert project.push("main").ok
    server.cli("lock", SITE, "--reason", "an incident")
    project.commit("three", index_html="three")
    pushed = project.push("-o", "reason=because", "HEAD:stage")
    assert pushed.ok and "an incident" in pushed.out
    server.kill_daemon()
    eventually(lambda: not server.rows("SELECT * FROM builds WHERE state IN ('queued', 'building')"))
    assert server.get(f"staging--{SITE}").status == 404
    server.cli("unlock", SITE)
    eventually(lambda: server.get(f"staging--{SITE}").text == "three", seconds=30)
    assert_settled(server)
    live = server.rows("SELECT * FROM releases WHERE env = 'staging' AND state = 'live'")
    assert [(one["actor"], one["reason"]) for one in live] == [("maya", "because")]


def test_a_killed_build_changes_nothing_and_says_so(server, project):
    held = Held(server, project)
    project.commit("three", index_html="three")
    before = assert_agreed(server, project)
    push = Going(project, "managed", "main")
    held.wait()
    kill(processes(server, "while [ ! -e go ]"))
    pushed = push.ended()
    assert pushed.code == 1
    assert "[remote rejected] main -> main" in pushed.out
    assert assert_agreed(server, project) == before
    assert_settled(server)
    project.write("gitdeploy.toml", "")
    project.commit("four", index_html="four")
    assert project.push("main").ok


def test_a_killed_edge_is_back_within_seconds(server, project):
    edges = processes(server, "gitdeploy.runtime.edge")
    kill(edges)
    eventually(lambda: _page(server) == "two", seconds=30)
    assert not set(edges) & set(processes(server, "gitdeploy.runtime.edge"))


def test_a_killed_daemon_leaves_no_build_behind_and_builds_again_what_was_accepted(server, project):
    held = Held(server, project)
    project.commit("three", index_html="three")
    push = Going(project, "managed", "HEAD:feature")
    held.wait()
    inside = processes(server, "while [ ! -e go ]")
    assert inside
    server.kill_daemon()
    assert server.get(SITE).text == "two"
    push.ended()
    eventually(lambda: not [one for one in inside if Path(f"/proc/{one}").exists()])
    held.wait()
    held.go()
    eventually(lambda: server.get(HOST).text == "three")
    assert_settled(server)


@pytest.mark.parametrize("branch", ["main", pytest.param("feature", marks=pytest.mark.soak)])
def test_a_stop_in_the_middle_of_a_build_ends_well(server, project, branch):
    """SIGTERM: exit code 0. A gated push is refused; an accepted preview is built at the next start."""
    held = Held(server, project)
    project.commit("three", index_html="three")
    before = assert_agreed(server, project)
    push = Going(project, "managed", f"HEAD:{branch}")
    held.wait()
    inside = processes(server, "while [ ! -e go ]")
    assert inside
    assert server.stop() == 0
    pushed = push.ended()
    assert server.get(SITE).text == "two", "the edge serves on"
    eventually(lambda: not [one for one in inside if Path(f"/proc/{one}").exists()])
    server.start()
    if branch == "main":
        assert pushed.code == 1
        assert "the server is stopping" in pushed.out
        assert assert_agreed(server, project) == before
    else:
        assert pushed.ok, pushed.out
        held.wait()
        held.go()
        eventually(lambda: server.get(HOST).text == "three")
    assert_settled(server)


def test_nothing_new_is_begun_while_the_server_stops(server, project):
    """Pushes by path, which need no door of the daemon but the hooks', are refused with a sentence."""
    held = Held(server, project)
    project.commit("three", index_html="three")
    project.git("remote", "add", "path", str(server.repository))
    first = Going(project, "path", "main")
    held.wait()
    os.kill(server.daemon, signal.SIGTERM)
    eventually(lambda: not _answers(server))
    late = project.push("HEAD:late", remote="path")
    assert late.code == 1
    assert "gitdeploy is stopping" in late.out
    assert "the server is stopping" in first.ended().out
    assert server.process.wait(timeout=30) == 0


def _page(server) -> str:
    try:
        return server.get(SITE).text
    except OSError:
        return ""


def _answers(server) -> bool:
    try:
        return server.api("/healthz").status == 200
    except OSError:
        return False
