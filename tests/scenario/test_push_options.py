"""How a push is asked for: options, a client that leaves, quiet and machine-readable output."""

from __future__ import annotations

import re

import pytest
from support import eventually


def first(desk) -> None:
    desk.commit("first", index_html="first")
    pushed = desk.push("main")
    assert pushed.ok, pushed.out


def test_a_reason_is_kept_with_the_release(desk):
    first(desk)
    desk.commit("second", index_html="second")
    assert desk.push("-o", "reason=fixes the header", "main").ok
    assert desk.live["reason"] == "fixes the header"
    assert desk.push("-o", "reason=it was no fix = really", "HEAD:rollback/r1").ok
    assert desk.live["reason"] == "it was no fix = really"


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("resaon=x", "Did you mean reason?"),
        ("detatch", "Did you mean detach?"),
        ("zzzz", "The options are: reason=…, env=…"),
        ("reason=", "needs a value"),
        ("skip=yes", "takes no value"),
        ("at=2026-11-01T02:00", "does not say its zone"),
        ("\x1b[31mred", "Unknown push option"),
    ],
)
def test_an_option_that_does_not_hold_refuses_the_push(desk, option, says):
    first(desk)
    before = desk.state()
    desk.commit("second", index_html="second")
    pushed = desk.push("-o", option, "main", "main:copy")
    assert pushed.code == 1
    assert says in pushed.out
    assert "\x1b" not in pushed.out
    assert desk.state() == before


@pytest.mark.parametrize("option", ["skip", "detach"])
def test_what_contradicts_the_gate_is_refused(desk, option):
    first(desk)
    before = desk.state()
    desk.commit("second", index_html="second")
    for ref in ("main", "HEAD:rollback/r1"):
        pushed = desk.push("-o", option, ref)
        assert pushed.code == 1
        assert f"-o {option}" in pushed.out
    assert desk.state() == before


def test_a_dry_run_checks_everything_and_changes_nothing(desk):
    first(desk)
    desk.git("checkout", "-q", "-b", "draft")
    desk.commit("second", index_html="second")
    assert desk.push("draft").ok
    before = desk.state()
    for ref in ("draft:main", "HEAD:promote/draft", "HEAD:redeploy/r1"):
        pushed = desk.push("-o", "dry-run", ref)
        assert pushed.code == 1
        assert "dry run: all checks passed and nothing was changed" in pushed.out
        assert "1 changed" in pushed.out or "redeploy" in ref
    pushed = desk.push("-o", "dry-run", "HEAD:rollback/r99")
    assert pushed.code == 1
    assert "dry run" not in pushed.out
    assert desk.state() == before


def test_a_dry_run_of_a_preview_changes_nothing_either(desk):
    first(desk)
    before = desk.state()
    desk.commit("second", index_html="second")
    pushed = desk.push("-o", "dry-run", "main:draft")
    assert "dry run" in pushed.out
    assert desk.state() == before


def test_gits_own_dry_run_reaches_nobody(desk):
    first(desk)
    before = desk.state(), desk.builds
    desk.commit("second", index_html="second")
    pushed = desk.push("--dry-run", "main", "HEAD:rollback/r1")
    assert pushed.ok
    assert (desk.state(), desk.builds) == before


def test_skip_stores_the_branch_and_builds_nothing(desk):
    first(desk)
    built = desk.built
    desk.git("checkout", "-q", "-b", "draft")
    desk.commit("one", index_html="one")
    pushed = desk.push("-o", "skip", "draft")
    assert pushed.ok
    assert "not built: -o skip" in pushed.out
    for marker in ("[skip ci]", "[ci skip]", "[Skip Deploy]", "[deploy skip]"):
        commit = desk.commit(f"more\n\n{marker}", index_html=marker)
        pushed = desk.push("draft")
        assert "not built: the commit says so" in pushed.out
        assert desk.refs()["refs/heads/draft"] == commit
    assert desk.built == built
    assert desk.page("draft").status == 404
    desk.commit("now", index_html="now")
    assert desk.push("draft").ok
    assert desk.page("draft").text == "now"


def test_a_skip_marker_does_not_leave_production_behind_its_branch(desk):
    first(desk)
    commit = desk.commit("words [skip ci]", index_html="words")
    pushed = desk.push("main")
    assert pushed.ok, pushed.out
    assert desk.refs()["refs/heads/main"] == desk.live["commit"] == commit
    assert desk.page().text == "words"


def test_no_cache_builds_what_is_built(desk):
    first(desk)
    built = desk.built
    desk.git("checkout", "-q", "-b", "draft")
    assert desk.push("-o", "no-cache", "draft").ok
    assert desk.built == built + 1


def test_detach_returns_before_the_preview_is_there(desk, hold):
    first(desk)
    desk.git("checkout", "-q", "-b", "draft")
    desk.commit("slow", gitdeploy_toml=hold.settings(desk.site))
    pushed = desk.push("-o", "detach", "draft")
    assert pushed.ok
    assert "in the background" in pushed.out
    hold.arrived(desk.site)
    assert desk.page("draft").status == 404
    hold.free(desk.site)
    eventually(lambda: desk.page("draft").status == 200)
    assert desk.page("draft").text == f"{desk.site}\n"


def test_wait_is_what_happens_anyway(desk):
    first(desk)
    assert desk.push("-o", "wait", "main:draft").ok
    assert desk.page("draft").text == "first"
    refused = desk.push("-o", "wait", "-o", "detach", "main:other")
    assert refused.code == 1
    assert "contradict" in refused.out


def test_who_hangs_up_and_said_so_leaves_everything_as_it_was(desk, hold):
    first(desk)
    before = desk.state()
    desk.commit("slow", gitdeploy_toml=hold.settings(desk.site))
    pushing = desk.start("push", "-o", "cancel-on-hangup", "managed", "main")
    hold.arrived(desk.site)
    pushing.kill()
    eventually(lambda: desk.builds[0]["state"] == "canceled", why=str(desk.builds[0]))
    assert "hung up" in desk.builds[0]["error"]
    assert desk.state() == before


def test_who_hangs_up_does_not_take_along_others_who_wait_for_the_same_build(desk, hold):
    first(desk)
    desk.commit("slow", gitdeploy_toml=hold.settings(desk.site))
    pushing = desk.start("push", "-o", "cancel-on-hangup", "managed", "main")
    hold.arrived(desk.site)
    other = desk.start("push", "managed", "main:draft")
    other.says("following it")
    pushing.kill()
    eventually(lambda: "canceled" in [one["state"] for one in desk.builds])
    hold.free(desk.site)
    assert other.end().ok, other.out
    assert desk.page("draft").text == f"{desk.site}\n"
    assert desk.page().text == "first"


def test_who_hangs_up_without_saying_so_goes_live_all_the_same(desk, hold):
    first(desk)
    commit = desk.commit("slow", gitdeploy_toml=hold.settings(desk.site))
    pushing = desk.start("push", "managed", "main")
    hold.arrived(desk.site)
    pushing.kill()
    hold.free(desk.site)
    eventually(lambda: desk.page().text == f"{desk.site}\n")
    eventually(lambda: desk.live["commit"] == commit)
    assert desk.refs()["refs/heads/main"] == commit


def test_a_preview_whose_pusher_left_appears_all_the_same(desk, hold):
    first(desk)
    desk.git("checkout", "-q", "-b", "draft")
    desk.commit("slow", gitdeploy_toml=hold.settings(desk.site))
    pushing = desk.start("push", "managed", "draft")
    hold.arrived(desk.site)
    pushing.kill()
    hold.free(desk.site)
    eventually(lambda: desk.page("draft").text == f"{desk.site}\n")


def test_quiet_is_as_quiet_as_git_is(desk):
    """git passes on what a server's hooks say under -q too; of its own it says nothing."""
    first(desk)
    desk.commit("second", index_html="second")
    pushed = desk.push("-q", "main")
    assert pushed.ok
    assert not [line for line in pushed.out.splitlines() if not line.startswith("remote:")]
    refused = desk.push("-q", "HEAD:rollback/r99")
    assert refused.code == 1
    assert "r99 is not a release" in refused.out
    assert "[remote rejected]" in refused.out


def test_porcelain_is_for_machines(desk):
    first(desk)
    commit = desk.commit("second", index_html="second")
    pushed = desk.push("--porcelain", "main", "main:copy", "HEAD:rollback/r99")
    assert pushed.code == 1
    lines = dict(re.findall(r"^([ *!+=-])\t(\S+\t.*)$", pushed.out, re.MULTILINE))
    assert re.fullmatch(rf"refs/heads/main:refs/heads/main\t\w+\.\.{commit[:7]}", lines[" "])
    assert lines["*"].startswith("refs/heads/main:refs/heads/copy\t")
    assert lines["!"].startswith("HEAD:refs/heads/rollback/r99\t[remote rejected] (r99 is not a release")
    assert desk.page().text == "second"
