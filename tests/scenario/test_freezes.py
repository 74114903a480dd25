"""Times in which nothing goes live: declared ones and those of gitdeploy.toml, at every door."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from scenario_support import STATIC, Desk
from support import eventually


def after(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


def days(first: int, last: int) -> str:
    return f"{date.today() + timedelta(first)} - {date.today() + timedelta(last)}"


@pytest.fixture
def desk(shared, tmp_path) -> Desk:
    made = shared.new_site(tmp_path / "project")
    made.commit(
        "one", gitdeploy_toml=STATIC + '[environments.staging]\nbranch = "staging"\n', index_html="one"
    )
    assert made.push("main").ok
    return made


def change(desk: Desk, text: str) -> None:
    desk.commit(text, index_html=text)


def freeze(desk: Desk, *words: str) -> str:
    return desk.shared.facts(
        "freeze", "add", desk.site, "--until", after(3600), "--reason", "the sale", *words
    )["id"]


def test_while_it_holds_only_rollbacks_and_previews_go(desk):
    change(desk, "two")
    assert desk.push("main").ok
    change(desk, "three")
    id = freeze(desk)
    now = desk.facts("freezes")["now"]["production"]
    for words in (("main",), ("-o", "dry-run", "main"), ("HEAD:redeploy/r1",)):
        refused = desk.push(*words)
        assert not refused.ok and f"production of {desk.site} is frozen until {now['until']}" in refused.out
        assert '"the sale", by ' in refused.out and f"-o at={now['until']}" in refused.out
    assert desk.push("HEAD:feature").ok and desk.page("feature").text == "three"
    promoted = desk.shared.cli("promote", desk.site, "feature", check=False)
    assert promoted.returncode == 4 and "the sale" in promoted.stderr
    assert desk.built == 3 and desk.page().text == "two"  # nothing was built for what was refused

    refused = desk.push("-o", f"at={after(60)}", "main")
    assert not refused.ok and "is frozen until" in refused.out
    assert "is scheduled for" in desk.push("-o", f"at={after(3700)}", "main").out
    assert desk.push("HEAD:rollback/r1").ok and desk.page().text == "one"

    assert "needs a reason" in desk.push("-o", "override-freeze", "main").out
    override = ("-o", "override-freeze", "-o", "reason=the shop is empty", "main")
    assert "may not override a freeze of production: that needs operator" in desk.push(*override).out
    desk.git("remote", "add", "as-olga", desk.as_actor("olga", "operator"))
    assert desk.push(*override, remote="as-olga").ok and desk.page().text == "three"
    (event,) = [
        one
        for one in desk.shared.facts("events", "--site", desk.site)
        if one["action"] == "freeze.overridden"
    ]
    assert event["actor"] == "olga" and event["data"]["reason"] == "the shop is empty"

    desk.shared.cli("freeze", "remove", desk.site, id[-6:])
    change(desk, "four")
    assert desk.push("main").ok and desk.page().text == "four"


def test_what_gitdeploy_toml_says_holds_once_it_is_live(desk):
    desk.write("gitdeploy.toml", STATIC + f'[production]\nfreeze = ["{days(-2, 2)}"]\n')
    change(desk, "two")
    assert desk.push("main").ok
    desk.write("gitdeploy.toml", STATIC)
    change(desk, "three")
    refused = desk.push("main")
    assert not refused.ok and f"{days(-2, 2)} (UTC) in gitdeploy.toml" in refused.out
    assert desk.page().text == "two"


def test_a_branch_that_was_accepted_waits_until_it_is_over(desk, shared):
    desk.push("main:staging")
    eventually(lambda: desk.page("staging").text == "one")
    id = freeze(desk, "--env", "staging")
    change(desk, "two")
    pushed = desk.push("-o", "wait", "main:staging")
    assert pushed.ok and "staging of " in pushed.out and "is frozen until" in pushed.out
    assert desk.push("main").ok and desk.page("staging").text == "one"
    shared.cli("freeze", "remove", desk.site, id)
    assert shared.stop() == 0
    shared.start()
    eventually(lambda: desk.page("staging").text == "two")


def test_what_waited_for_its_hour_is_refused_by_a_freeze_that_came_meanwhile(desk):
    change(desk, "two")
    assert desk.push("-o", f"at={after(3)}", "main").ok
    freeze(desk)
    (one,) = eventually(lambda: [one for one in desk.facts("schedules?all=1") if one["state"] == "refused"])
    assert "is frozen until" in one["said"] and desk.page().text == "one"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--until", "2020-01-01T00:00Z", "--reason", "x"), "later than now"),
        (("--until", "tomorrow", "--reason", "x"), "is not a time"),
        (("--until", "2999-01-01T00:00Z", "--reason", " "), "needs a reason"),
        (("--until", "2999-01-01T00:00Z", "--reason", "x", "--env", "feature"), "previews go on"),
    ],
)
def test_what_is_no_freeze_is_refused(desk, words, said):
    if "feature" in words:
        assert desk.push("HEAD:feature").ok
    done = desk.shared.cli("freeze", "add", desk.site, *words, check=False)
    assert done.returncode == 2 and said in done.stderr
