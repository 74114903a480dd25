"""Several refs in one push, and several pushes at once."""

from __future__ import annotations

import pytest
from scenario_support import Running
from support import eventually


def first(desk) -> str:
    commit = desk.commit("first", index_html="first")
    pushed = desk.push("main")
    assert pushed.ok, pushed.out
    return commit


def test_of_several_refs_each_is_decided_by_itself(desk):
    first(desk)
    desk.git("checkout", "-q", "-b", "draft")
    desk.commit("draft", index_html="draft")
    desk.git("tag", "v1")
    pushed = desk.push("draft", "v1", "HEAD:rollback/r77", "HEAD:live/x")
    assert pushed.code == 1
    assert pushed.out.count("[remote rejected]") == 2
    assert desk.page("draft").text == "draft"
    assert desk.refs()["refs/tags/v1"] == desk.git("rev-parse", "draft")
    assert desk.page().text == "first"


def test_a_mixed_push_moves_production_and_shows_its_previews(desk):
    first(desk)
    desk.commit("second", index_html="second")
    desk.git("branch", "copy")
    desk.git("branch", "older", "HEAD~1")
    pushed = desk.push("main", "copy", "older")
    assert pushed.ok, pushed.out
    assert desk.page().text == desk.page("copy").text == "second"
    assert desk.page("older").text == "first"
    assert desk.built == 2


def test_atomic_with_one_refused_moves_nothing(desk):
    first(desk)
    before = desk.state()
    desk.commit("second", index_html="second")
    desk.git("tag", "v2")
    for bad in ("HEAD:live/x", "HEAD:rollback/r77"):
        pushed = desk.push("--atomic", "main", "v2", bad)
        assert pushed.code == 1
        assert pushed.out.count("rejected]") >= 3, pushed.out
        assert desk.state() == before
    desk.commit("broken", gitdeploy_toml='[build]\ncommand = "exit 4"\noutput = "out"\n')
    pushed = desk.push("--atomic", "main", "main:copy", "v2")
    assert pushed.code == 1
    assert desk.state() == before


def test_atomic_main_and_tag_move_in_one_step(desk):
    first(desk)
    commit = desk.commit("second", index_html="second")
    desk.git("tag", "v2")
    pushed = desk.push("--atomic", "main", "v2", "main:copy")
    assert pushed.ok, pushed.out
    refs = desk.refs()
    assert refs["refs/heads/main"] == refs["refs/tags/v2"] == refs["refs/live/production"] == commit
    assert desk.page().text == "second"
    eventually(lambda: desk.page("copy").text == "second")
    assert "pushed" not in desk.git("status", "--porcelain")


def test_atomic_refuses_two_refs_that_act(desk):
    first(desk)
    desk.commit("second", index_html="second")
    before = desk.state()
    for refs in (("main", "HEAD:rollback/r1"), ("HEAD:rollback/r1", "HEAD:redeploy/r1")):
        pushed = desk.push("--atomic", *refs)
        assert pushed.code == 1
        assert "--atomic" in pushed.out and "on its own" in pushed.out
        assert desk.state() == before


def test_atomic_with_an_order_among_plain_refs_moves_nothing(desk):
    first(desk)
    desk.git("tag", "v1")
    before = desk.state()
    pushed = desk.push("--atomic", "v1", "HEAD:redeploy/r1")
    assert pushed.code == 1
    assert "on its own" in pushed.out
    assert desk.state() == before
    assert desk.push("--atomic", "HEAD:redeploy/r1").ok
    assert desk.push("--atomic", "v1", "main:copy").ok
    assert {"refs/tags/v1", "refs/heads/copy"} <= set(desk.refs())


def test_a_second_push_waits_its_turn_and_is_told_for_whom(desk, hold, tmp_path):
    first(desk)
    desk.commit("slow", gitdeploy_toml=hold.settings(f"{desk.site}-slow"))
    slow = desk.start("push", "managed", "main")
    hold.arrived(f"{desk.site}-slow")
    desk.git("rm", "-q", "gitdeploy.toml")
    last = desk.commit("quick", index_html="quick")
    quick = desk.start("push", "managed", "main")
    quick.says("waiting for maya's push of")
    assert desk.page().text == "first"
    hold.free(f"{desk.site}-slow")
    assert slow.end().ok, slow.out
    assert quick.end().ok, quick.out
    assert desk.page().text == "quick"
    assert desk.refs()["refs/heads/main"] == last
    assert [one["subject"] for one in desk.releases] == ["quick", "slow", "first"]


def test_a_second_push_goes_live_though_the_first_failed(desk, hold):
    first(desk)
    desk.commit("slow", gitdeploy_toml=hold.settings(f"{desk.site}-bad").replace("echo", "false; echo"))
    desk.write(
        "gitdeploy.toml", f"[build]\ncommand = '''{hold.command(desk.site)}; exit 4'''\noutput = \"out\"\n"
    )
    desk.commit("broken")
    slow = desk.start("push", "managed", "main")
    hold.arrived(desk.site)
    desk.git("rm", "-q", "gitdeploy.toml")
    desk.commit("mended", index_html="mended")
    quick = desk.start("push", "managed", "main")
    quick.says("waiting for")
    hold.free(desk.site)
    assert slow.end().code == 1
    assert quick.end().ok, quick.out
    assert desk.page().text == "mended"


def test_of_two_pushes_from_the_same_base_one_wins(desk, hold, tmp_path):
    first(desk)
    theirs = desk.clone(tmp_path / "theirs")
    desk.commit("mine", gitdeploy_toml=hold.settings(f"{desk.site}-mine"))
    theirs.commit("theirs", index_html="theirs")
    mine = desk.start("push", "managed", "main")
    hold.arrived(f"{desk.site}-mine")
    late = Running(theirs.folder, "push", "managed", "main")
    late.says("waiting for")
    hold.free(f"{desk.site}-mine")
    assert mine.end().ok, mine.out
    ended = late.end()
    assert ended.code == 1
    assert "[remote rejected] main -> main" in ended.out
    assert "etch" in ended.out and "again" in ended.out
    assert desk.page().text == f"{desk.site}-mine\n"
    assert [one["subject"] for one in desk.releases if one["state"] != "failed"] == ["mine", "first"]
    assert not [one for one in desk.builds if one["subject"] == "theirs"], "it is refused before it is built"

    theirs.git("fetch", "-q")
    theirs.git("rebase", "-q", "managed/main")
    theirs.git("rm", "-q", "gitdeploy.toml")
    theirs.git("commit", "-q", "--amend", "--no-edit")
    assert theirs.push("main").ok
    assert desk.page().text == "theirs"


@pytest.mark.parametrize("round", range(3))
def test_a_race_without_delays_has_one_winner(desk, tmp_path, round):
    first(desk)
    copies = [desk.clone(tmp_path / name) for name in ("a", "b", "c")]
    for copy in copies:
        copy.commit(copy.folder.name, index_html=copy.folder.name)
    ended = [one.end() for one in [Running(copy.folder, "push", "managed", "main") for copy in copies]]
    assert sorted(one.code for one in ended) == [0, 1, 1]
    winner = copies[[one.code for one in ended].index(0)]
    assert desk.page().text == winner.folder.name
    assert desk.refs()["refs/heads/main"] == winner.git("rev-parse", "HEAD")
    assert all("rejected]" in one.out for one in ended if one.code)


def test_the_same_commit_pushed_twice_at_once_is_built_once(desk, hold):
    first(desk)
    desk.git("checkout", "-q", "-b", "one")
    desk.commit("slow", gitdeploy_toml=hold.settings(desk.site))
    before = desk.built
    running = [desk.start("push", "managed", f"one:{name}") for name in ("one", "two")]
    hold.arrived(desk.site)
    eventually(lambda: any("following it" in one.out for one in running))
    hold.free(desk.site)
    assert [one.end().code for one in running] == [0, 0]
    assert desk.page("one").text == desk.page("two").text == f"{desk.site}\n"
    assert desk.built == before + 1
