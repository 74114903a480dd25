"""What was rolled back is remembered: marked, said when a push brings it back, and held where a site wants that."""

from __future__ import annotations

HOLD = '[build]\noutput = "."\n[production]\nhold_after_rollback = true\n'


def rolled_back(desk, **files: str) -> str:
    """A good release, a bad one on top, and a rollback; the commit of the bad one."""
    desk.commit("good", index_html="good", **files)
    assert desk.push("main").ok
    bad = desk.commit("New header", index_html="bad")
    assert desk.push("main").ok
    pushed = desk.push("-o", "reason=it burns", "HEAD:rollback/previous")
    assert pushed.ok, pushed.out
    return bad


def marks(desk) -> dict[str, str | None]:
    return {one["release"]: one["mark"] for one in desk.releases}


def test_going_back_marks_what_was_live_and_going_forward_onto_it_takes_the_mark_off(desk):
    rolled_back(desk)
    assert marks(desk) == {"r1": None, "r2": "bad", "r3": None}
    assert [one["state"] for one in desk.releases] == ["live", "rolled_back", "superseded"]
    assert desk.push("HEAD:rollback/r2").ok
    assert set(marks(desk).values()) == {None}
    assert desk.push("HEAD:rollback/previous").ok
    assert marks(desk) == {"r1": None, "r2": "bad", "r3": None, "r4": "bad", "r5": None}
    pushed = desk.push("HEAD:promote/main")
    assert pushed.ok and "(r4), which was rolled back" in pushed.out, pushed.out
    assert set(marks(desk).values()) == {None}


def test_a_preview_that_goes_back_says_nothing_of_the_commit(desk):
    desk.commit("good", index_html="good")
    assert desk.push("main").ok
    for page in ("one", "two"):
        desk.commit(page, index_html=page)
        assert desk.push("HEAD:draft").ok
    assert desk.push("-o", "env=draft", "HEAD:rollback/previous").ok
    assert set(marks(desk).values()) == {None}


def test_a_push_that_brings_it_back_is_told_so_once_and_goes_live(desk):
    bad = rolled_back(desk)
    desk.commit("more", more_txt="more")
    pushed = desk.push("main")
    assert pushed.ok, pushed.out
    said = f'This brings back {bad[:7]} "New header" (r2), which was rolled back by maya: "it burns".'
    assert said in pushed.out and f"git revert {bad[:7]}" in pushed.out, pushed.out
    desk.commit("and more", more_txt="and more")
    assert "brings back" not in desk.push("main").out


def test_a_push_with_a_revert_is_not(desk):
    bad = rolled_back(desk)
    desk.git("revert", "--no-edit", bad)
    pushed = desk.push("main")
    assert pushed.ok and "brings back" not in pushed.out, pushed.out
    desk.git("revert", "--no-edit", "HEAD")
    assert desk.page().text == "good"
    pushed = desk.push("main")
    assert pushed.ok and desk.page().text == "bad"


def test_a_site_that_holds_lets_through_a_revert_or_who_says_resume(desk):
    bad = rolled_back(desk, gitdeploy_toml=HOLD)
    before = desk.state()
    commit = desk.commit("more", more_txt="more")
    refused = desk.push("main")
    assert refused.code == 1 and "[remote rejected]" in refused.out, refused.out
    assert "(r2), which was rolled back" in refused.out and "push -o resume" in refused.out
    assert desk.state() == before

    pushed = desk.push("-o", "resume", "main")
    assert pushed.ok and "This brings back" in pushed.out, pushed.out
    assert desk.live["commit"] == commit
    assert "hold.resumed" in [one["action"] for one in desk.shared.ask(f"/events?site={desk.site}")]
    desk.commit("and more", more_txt="and more")
    assert desk.push("main").ok

    assert desk.push("HEAD:rollback/r1").ok
    desk.commit("still there", more_txt="still")
    assert desk.push("main").code == 1
    desk.git("revert", "--no-edit", bad)
    pushed = desk.push("main")
    assert pushed.ok and "brings back" not in pushed.out, pushed.out


def test_a_rollback_during_a_build_holds_the_push_that_is_under_way(desk, hold):
    desk.commit("good", index_html="good", gitdeploy_toml=HOLD)
    assert desk.push("main").ok
    desk.commit("New header", index_html="bad")
    assert desk.push("main").ok
    desk.commit("slow", gitdeploy_toml=hold.settings(desk.site))
    pushing = desk.start("push", "managed", "main")
    hold.arrived(desk.site)
    assert desk.push("HEAD:rollback/previous").ok
    hold.free(desk.site)
    ended = pushing.end()
    assert ended.code == 1 and "(r2), which was rolled back" in ended.out, ended.out
    assert desk.page().text == "good"


def test_an_ungated_branch_is_held_as_well(desk):
    toml = '[build]\noutput = "."\n[environments.staging]\nbranch = "staging"\nhold_after_rollback = true\n'
    desk.commit("good", index_html="good", gitdeploy_toml=toml)
    assert desk.push("main").ok and desk.push("main:staging").ok
    desk.commit("bad", index_html="bad")
    assert desk.push("main:staging").ok
    assert desk.push("-o", "env=staging", "HEAD:rollback/previous").ok
    desk.commit("more", more_txt="more")
    refused = desk.push("main:staging")
    assert refused.code == 1 and "was rolled back" in refused.out, refused.out
    assert desk.push("-o", "resume", "main:staging").ok
    assert desk.page("staging").text == "bad"
