"""What goes live with the approval of others: by git, by command, by a signed tag; never of one's own work."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from scenario_support import STATIC, Desk
from support import eventually

SETTINGS = STATIC + '[production]\napprovals = 1\n[environments.staging]\nbranch = "staging"\napprovals = 1\n'


@pytest.fixture
def desk(shared, tmp_path) -> Desk:
    made = shared.new_site(tmp_path / "project")
    made.commit("one", gitdeploy_toml=SETTINGS, index_html="one")
    assert made.push("main").ok
    for name, role in (("olga", "maintainer"), ("otto", "maintainer"), ("dora", "developer")):
        made.git("remote", "add", name, made.as_actor(name, role))
    made.commit("two", index_html="two")
    return made


def waiting(desk: Desk) -> dict:
    (one,) = desk.facts("approvals")
    return one


def as_(desk: Desk, name: str, *words: str):
    secret = desk.shared.secret(name)
    return desk.shared.cli("--url", f"http://{desk.shared.listen}", "--token", secret, *words, check=False)


def test_a_push_is_built_and_goes_live_once_somebody_else_approved_it(desk):
    before = desk.refs()
    refused = desk.push("main")
    assert not refused.ok and f"production of {desk.site} needs 1 approval of" in refused.out
    asked = waiting(desk)
    assert f"HEAD:approve/{asked['id']}" in refused.out and (asked["actor"], asked["votes"]) == ("maya", [])
    assert desk.refs() == before and desk.page().text == "one" and desk.built == 2
    assert waiting(desk)["id"] == asked["id"] and not desk.push("main").ok

    ref = f"HEAD:approve/{asked['id']}"
    assert "maya asked for" in desk.push(ref).out
    assert "needs maintainer" in desk.push(ref, remote="dora").out
    assert desk.page().text == "one" and waiting(desk)["votes"] == []
    assert "is approved by olga" in desk.push(ref, remote="olga").out
    assert "has approved" in desk.push(ref, remote="olga").out
    assert "approvals: 1 of 1" in desk.push("-o", "dry-run", "main").out
    assert desk.push("main").ok and desk.page().text == "two" and desk.built == 2
    assert desk.facts("approvals") == [] and desk.facts("approvals?all=1")[0]["state"] == "used"

    assert desk.push("HEAD:rollback/r1").ok and desk.page().text == "one"
    again = desk.push("HEAD:promote/main")
    assert not again.ok and "needs 1 approval" in again.out and waiting(desk)["id"] != asked["id"]
    told = [one["action"] for one in desk.shared.facts("events", "--site", desk.site)]
    assert {"approval.requested", "approval.approved", "approval.used"} <= set(told)


def test_who_pushed_the_bytes_approves_them_no_more_than_who_promotes_them(desk):
    assert desk.push("HEAD:feature", remote="otto").ok
    assert as_(desk, "maya", "promote", desk.site, "feature").returncode == 5
    asked = waiting(desk)
    own = as_(desk, "otto", "approve", asked["id"])
    assert own.returncode == 5 and "otto pushed what is asked for" in own.stderr
    assert as_(desk, "nobody", "approve", asked["id"]).returncode == 3
    assert as_(desk, "olga", "approve", asked["id"]).returncode == 0
    # another commit is another matter, with the same bytes too
    desk.commit("no approvals", gitdeploy_toml=STATIC)
    assert "needs 1 approval" in desk.push("main").out
    # whoever lost the role has no vote any more
    desk.shared.secret("olga", "developer", desk.site)
    assert as_(desk, "maya", "promote", desk.site, "feature").returncode == 5
    desk.shared.secret("olga", "maintainer", desk.site)
    assert as_(desk, "maya", "promote", desk.site, "feature").returncode == 0
    assert desk.page().text == "two"
    no = waiting(desk)["id"]
    assert "with a reason" in as_(desk, "olga", "approve", no, "--reject").stderr
    assert as_(desk, "olga", "approve", no, "--reject", "--reason", "we need them").returncode == 0
    late = desk.push(f"HEAD:approve/{no}", remote="otto")
    assert not late.ok and "is rejected by olga: we need them" in late.out


def test_a_signed_tag_is_the_approval_of_who_signed_it_whoever_brings_it(desk, tmp_path):
    def signed(who: str, name: str, *, known: bool = True) -> None:
        key = tmp_path / who
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        if known:
            desk.shared.cli("key", "add", who, f"{key}.pub")
        desk.git("-c", "gpg.format=ssh", "-c", f"user.signingkey={key}", "tag", "-f", "-s", "-m", "ok", name)

    assert not desk.push("main").ok
    asked = waiting(desk)
    tag = f"approve/{asked['id']}"
    signed("stranger", tag, known=False)
    assert "is of no key that is known here" in desk.push(f"refs/tags/{tag}", remote="dora").out
    signed("maya", tag)
    assert "maya asked for" in desk.push(f"refs/tags/{tag}", remote="dora").out
    signed("olga", "other")
    desk.git("tag", "-f", tag, "other")
    assert "The signed tag is other" in desk.push(f"refs/tags/{tag}", remote="dora").out
    assert waiting(desk)["votes"] == []
    key = tmp_path / "olga"
    desk.git("-c", "gpg.format=ssh", "-c", f"user.signingkey={key}", "tag", "-f", "-s", "-m", "ok", tag)
    brought = desk.push(f"refs/tags/{tag}", remote="dora")
    assert "is approved by olga" in brought.out
    (vote,) = waiting(desk)["votes"]
    assert vote["actor"] == "olga" and vote["signed"]
    assert desk.push("main").ok and desk.page().text == "two"


def test_what_waits_for_its_hour_or_was_accepted_already_waits_for_its_approval(desk, shared):
    at = (datetime.now(UTC) + timedelta(seconds=6)).isoformat(timespec="milliseconds")
    filed = desk.push("-o", f"at={at}", "main")
    assert filed.ok and "needs 1 approval" in filed.out and "is scheduled for" in filed.out
    assert desk.push(f"HEAD:approve/{waiting(desk)['id']}", remote="olga").ok
    eventually(lambda: desk.page().text == "two")

    accepted = desk.push("-o", "wait", "main:staging")
    assert accepted.ok and "staging of" in accepted.out and "needs 1 approval" in accepted.out
    assert desk.push(f"HEAD:approve/{waiting(desk)['id']}", remote="olga").ok
    builds = len(desk.builds)
    assert shared.stop() == 0
    shared.start()
    eventually(lambda: desk.page("staging").text == "two")
    assert len(desk.builds) <= builds + 1 and desk.facts("approvals") == []
