"""kill -9 before every durable step of every kind of push: afterwards all is old or all is new, and work goes on.

A step is what must survive a crash: a ledger statement or commit, a file, link or folder put in place, refs locked
or moved, a note, an answer to git. The server is started again by the launcher, as systemd would.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from crash_ground import SITE, Mortal, assert_agreed, assert_settled
from support import Project, Pushed

FEATURE = "feature/checkout"
HOST = f"feature-checkout--{SITE}"
_counter = itertools.count(1)


STRIDES = pytest.mark.parametrize("stride", [4, pytest.param(1, marks=pytest.mark.soak)])
"""The ordinary run dies at every fourth step."""


@STRIDES
def test_a_gated_deploy(server, project, stride):
    def push() -> Pushed:
        fresh_page(project)
        return project.push("main")

    assert sweep_production(server, project, push, stride=stride) > 20 - stride


@pytest.mark.soak
def test_a_gated_promotion_of_what_was_built(server, project):
    def prepare() -> None:
        fresh_page(project)
        assert project.push(f"HEAD:{FEATURE}").ok

    assert sweep_production(server, project, lambda: project.push("main"), prepare) > 10


@STRIDES
def test_a_rollback(server, project, stride):
    def push() -> Pushed:
        return project.push("HEAD:rollback/previous")

    def prepare() -> None:
        fresh_page(project)
        assert project.push("main").ok

    assert sweep_production(server, project, push, prepare, moves_main=False, stride=stride) > 10 - stride


@pytest.mark.soak
def test_a_preview_is_built_and_shown_once_it_was_accepted(server, project):
    for number in itertools.count(1):
        page = fresh_page(project)
        old = server.refs().get(f"refs/heads/{FEATURE}")
        before = server.get(HOST)
        server.die_at(number)
        pushed = project.push("-o", f"reason=why {number}", f"HEAD:{FEATURE}")
        died = server.died()
        assert_settled(server)
        accepted = server.refs().get(f"refs/heads/{FEATURE}") == project.git("rev-parse", "HEAD")
        live = server.rows("SELECT * FROM releases WHERE env = ? AND state = 'live'", FEATURE)
        if accepted:
            assert server.get(HOST).text == page
            assert (live[0]["actor"], live[0]["reason"]) == ("maya", f"why {number}")
            env = server.rows("SELECT * FROM environments WHERE name = ?", FEATURE)[0]
            assert (env["state"], env["release"]) == ("ready", live[0]["number"])
            assert env["expires_at"] is not None
            assert server.refs()[f"refs/live/{env['folder']}"] == live[0]["commit"]
        else:
            assert not pushed.ok, pushed.out
            assert server.refs().get(f"refs/heads/{FEATURE}") == old
            assert server.get(HOST).text == before.text
        assert_agreed(server, project)
        if not died:
            assert pushed.ok
            break
        assert_work_goes_on(server, project)
    assert number > 20


@pytest.mark.soak
def test_a_deleted_branch_takes_its_preview_with_it(server, project):
    for number in itertools.count(1):
        page = fresh_page(project)
        assert project.push(f"HEAD:{FEATURE}").ok
        assert server.get(HOST).text == page
        server.die_at(number)
        pushed = project.push(f":{FEATURE}")
        died = server.died()
        assert_settled(server)
        left = {
            "branch": f"refs/heads/{FEATURE}" in server.refs(),
            "live ref": "refs/live/feature-checkout" in server.refs(),
            "environment": bool(server.rows("SELECT * FROM environments WHERE name = ?", FEATURE)),
            "folder": (server.home / f"sites/{SITE}/feature-checkout").exists(),
            "address": (server.home / f"live/{HOST}.localhost").is_symlink(),
            "page": server.get(HOST).status == 200,
        }
        assert len(set(left.values())) == 1, left
        assert left["branch"] is False or not pushed.ok
        assert_agreed(server, project)
        if not died:
            assert pushed.ok, pushed.out
            break
        assert_work_goes_on(server, project)
    assert number > 8


@pytest.mark.soak
def test_an_atomic_push_moves_all_of_its_branches_or_none(server, project):
    def push() -> Pushed:
        fresh_page(project)
        return project.push("--atomic", "main", f"+HEAD:{FEATURE}")

    def together() -> None:
        refs = server.refs()
        if f"refs/heads/{FEATURE}" not in refs:
            return
        shown = server.get(HOST)
        assert shown.text == project.git("show", f"{refs[f'refs/heads/{FEATURE}']}:index.html")

    for number in itertools.count(1):
        before = server.refs()
        server.die_at(number)
        pushed = push()
        died = server.died()
        assert_settled(server)
        new = project.git("rev-parse", "HEAD")
        after = server.refs()
        moved = {ref for ref in ("refs/heads/main", f"refs/heads/{FEATURE}") if after.get(ref) == new}
        assert len(moved) in (0, 2), moved
        assert moved or not pushed.ok
        assert moved or after.get(f"refs/heads/{FEATURE}") == before.get(f"refs/heads/{FEATURE}")
        together()
        assert_agreed(server, project)
        if not died:
            assert pushed.ok, pushed.out
            break
        assert_work_goes_on(server, project)
    assert number > 20


def sweep_production(
    server: Mortal,
    project: Project,
    act: Callable[[], Pushed],
    prepare: Callable[[], None] = lambda: None,
    *,
    moves_main: bool = True,
    stride: int = 1,
) -> int:
    """Kill `act` at every step, or at one in `stride`; returns the last at which it still was."""
    for number in itertools.count(1, stride):
        prepare()
        before = assert_agreed(server, project)
        server.die_at(number)
        pushed = act()
        died = server.died()
        after = assert_agreed(server, project)
        assert_settled(server)
        if after.release == before.release:
            assert not pushed.ok, pushed.out
            assert after == before
        else:
            assert after.release > before.release
            assert after.main == (project.git("rev-parse", "HEAD") if moves_main else before.main)
        if not died:
            assert pushed.ok, pushed.out
            return number - stride
        assert_work_goes_on(server, project)
    raise AssertionError


def fresh_page(project: Project) -> str:
    page = f"page {next(_counter)}"
    project.commit(page, index_html=page)
    return page


def assert_work_goes_on(server: Mortal, project: Project) -> None:
    fresh_page(project)
    pushed = project.push("main")
    assert pushed.ok, pushed.out
    assert_agreed(server, project)
    back = project.push("HEAD:rollback/previous")
    assert back.ok, back.out
    assert_agreed(server, project)
