"""Pushes and orders that wait for their hour: built and checked when filed, looked at again when due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from scenario_support import STATIC, Desk
from support import eventually


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


@pytest.fixture
def desk(shared, tmp_path) -> Desk:
    made = shared.new_site(tmp_path / "project")
    made.write("gitdeploy.toml", STATIC)
    made.write("index.html", "one")
    made.commit("one")
    assert made.push("main").ok
    return made


def change(desk: Desk, text: str) -> str:
    desk.write("index.html", text)
    desk.commit(text)
    return desk.git("rev-parse", "HEAD")


def schedules(desk: Desk, state: str) -> list[dict]:
    return [one for one in desk.facts("schedules?all=1") if one["state"] == state]


def came(desk: Desk, state: str, number: int = 1) -> list[dict]:
    return eventually(lambda: (found := schedules(desk, state)) and len(found) == number and found)


def test_a_push_is_built_now_and_goes_live_at_its_hour(desk):
    main = desk.refs()["refs/heads/main"]
    commit = change(desk, "two")
    pushed = desk.push("-o", f"at={soon(4)}", "-o", "reason=the launch", "main")
    assert pushed.ok and "is scheduled for" in pushed.out and "refs/schedules/sch_" in pushed.out
    built = desk.built
    refs = desk.refs()
    assert refs["refs/heads/main"] == main and commit in refs.values() and desk.page().text == "one"
    (filed,) = schedules(desk, "waiting")
    assert (filed["env"], filed["actor"], filed["commit"]) == ("production", "maya", commit)
    (done,) = came(desk, "done")
    assert desk.page().text == "two" and desk.live["reason"] == "the launch" and desk.live["actor"] == "maya"
    assert done["said"] == f"{desk.live['release']} is live" and desk.built == built
    refs = desk.refs()
    assert refs["refs/heads/main"] == commit and not any(name.startswith("refs/schedules/") for name in refs)


def test_what_was_overtaken_or_may_no_more_is_refused_with_a_notice(desk):
    change(desk, "two")
    assert desk.push("HEAD:feature").ok
    desk.git("remote", "add", "as-zoe", desk.as_actor("zoe", "maintainer"))
    for remote in ("managed", "as-zoe"):
        assert (
            "is scheduled for" in desk.push("-o", f"at={soon(5)}", "HEAD:promote/feature", remote=remote).out
        )
    change(desk, "three")
    assert desk.push("main").ok
    mine, hers = came(desk, "refused", 2)
    for one in (mine, hers):
        assert "went live in production after this was scheduled" in one["said"]
    assert desk.page().text == "three"
    events = desk.shared.facts("events", "--site", desk.site)
    assert {mine["id"], hers["id"]} == {
        one["subject"] for one in events if one["action"] == "schedule.refused"
    }


def test_who_lost_the_role_meanwhile_changes_nothing(desk):
    change(desk, "two")
    assert desk.push("-o", f"at={soon(3)}", "main").ok
    desk.shared.secret("maya", "developer", desk.site)
    (refused,) = came(desk, "refused")
    assert "may not change production" in refused["said"] and desk.page().text == "one"


def test_it_can_be_taken_back_by_git_and_by_command(desk):
    change(desk, "two")
    for _ in range(2):
        assert desk.push("-o", f"at={soon(3600)}", "main").ok
    first, second = schedules(desk, "waiting")
    assert desk.push(f"HEAD:cancel/{first['id']}").ok
    desk.shared.cli("schedule", "cancel", desk.site, second["id"][-6:])
    assert len(schedules(desk, "canceled")) == 2
    assert not any(name.startswith("refs/schedules/") for name in desk.refs())
    again = desk.push(f"HEAD:cancel/{first['id']}")
    assert not again.ok and "no waiting schedule" in again.out


def test_a_command_and_the_next_start_of_a_server_that_was_down(desk, shared):
    change(desk, "two")
    assert desk.push("main").ok
    filed = shared.facts("rollback", desk.site, "previous", "--at", soon(2), "--yes")
    assert filed["state"] == "waiting" and filed["verb"] == "rollback"
    assert shared.stop() == 0
    eventually(lambda: datetime.now(UTC).isoformat() > filed["at"])
    shared.start()
    came(desk, "done")
    assert desk.page().text == "one"


@pytest.mark.parametrize(
    ("at", "ref", "said"),
    [
        ("yesterday", "main", "is not a time"),
        ("2026-11-01T02:00", "main", "does not say its zone"),
        ("2020-01-01T00:00Z", "main", "not within the coming year"),
        ("2999-01-01T00:00Z", "main", "not within the coming year"),
        ("an hour", "HEAD:snapshot/production", "carried out at once"),
        ("an hour", "HEAD:feature", "can wait for its hour"),
        ("an hour", "HEAD:promote/nothing", "nothing"),
    ],
)
def test_what_cannot_wait_is_refused_at_once(desk, at, ref, said):
    change(desk, "two")
    refused = desk.push("-o", f"at={at if at != 'an hour' else soon(3600)}", ref)
    assert not refused.ok and said in refused.out
    assert desk.facts("schedules?all=1") == [] and desk.page().text == "one"
