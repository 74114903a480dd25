"""Rights on a part of a site, and tokens and keys that may less than their owner: at git, API and SSH."""

from __future__ import annotations

import os
import subprocess

import pytest
from scenario_support import STATIC, Desk, Shared, of_its_own
from support import GIT_ENV, GITDEPLOY, eventually

shared = of_its_own

SETTINGS = STATIC + '[environments.staging]\nbranch = "stage"\ngate = true\n'


@pytest.fixture
def desk(shared, tmp_path) -> Desk:
    made = shared.new_site(tmp_path / "project")
    made.commit("one", gitdeploy_toml=SETTINGS, index_html="one")
    assert made.push("main").ok
    made.commit("two", index_html="two")
    return made


def grant(desk: Desk, actor: str, role: str, env: str) -> None:
    desk.shared.cli("access", "grant", actor, role, "--site", desk.site, "--env", env)
    desk.git("remote", "add", actor, desk.shared.address(desk.site, actor, desk.shared.secret(actor)))


def token(shared: Shared, *words: str) -> dict:
    return shared.facts("token", "create", *words)


def test_somebody_changes_staging_and_not_production(desk):
    grant(desk, "ana", "maintainer", "staging")
    assert desk.push("main:stage", remote="ana").ok and desk.page("staging").text == "two"
    before = desk.refs()
    for words in (("main",), ("HEAD:promote/stage",), ("-o", "env=main", "HEAD:promote/stage"),
                  ("HEAD:feature",), ("HEAD:refs/tags/v1",)):  # fmt: skip
        refused = desk.push(*words, remote="ana")
        assert not refused.ok and f"ana is viewer of {desk.site} and may not" in refused.out
    assert desk.refs() == before and desk.page().text == "one"
    assert desk.push("-o", "env=stage", "HEAD:rollback/r2", remote="ana").ok
    body = {"target": "stage", "env": "main"}
    secret = desk.shared.secret("ana")
    answer = desk.shared.api(f"/v1/sites/{desk.site}/promote", secret, "POST", body)
    assert answer.status == 403 and "may not promote production" in answer.text

    grant(desk, "cal", "developer", "feature/*")
    assert desk.push("HEAD:feature/x", remote="cal").ok
    refused = desk.push("HEAD:other", remote="cal")
    assert not refused.ok and "--env 'other'" in refused.out
    desk.shared.cli("access", "revoke", "cal", "--site", desk.site, "--env", "feature/*")
    assert "There is no site" in desk.push("HEAD:feature/y", remote="cal").out


def test_who_can_change_production_and_through_what(desk, shared):
    grant(desk, "ana", "maintainer", "staging")
    shared.secret("olga", "operator")
    low = token(shared, "maya", "--site", desk.site, "--role", "developer")["id"]
    found = shared.facts("access", "list", "--site", desk.site, "--can", "production")
    people = {one["actor"]: one for one in found["people"]}
    assert {"boss", "maya", "olga"} <= set(people) and "ana" not in people and found["approvals"] == 0
    assert people["maya"]["grants"] == [{"site": desk.site, "env": "", "role": "maintainer"}]
    assert people["olga"]["grants"] == [{"site": "*", "env": "", "role": "operator"}]
    assert people["maya"]["tokens"] and low not in str(people) and people["maya"]["tokens"][0]["used_at"]
    staging = shared.cli("access", "list", "--site", desk.site, "--can", "staging").stdout
    assert "ana" in staging and f"staging of {desk.site}" in staging
    assert shared.api(f"/v1/sites/{desk.site}/access/production", shared.secret("maya")).status == 403


def test_a_token_may_less_than_its_owner(desk, shared, tmp_path):
    other = shared.new_site(tmp_path / "other")
    made = token(shared, "maya", "--site", desk.site, "--role", "developer", "--expires", "1h")
    assert (made["sites"], made["role"]) == ([desk.site], "developer")
    desk.git("remote", "add", "ci", shared.address(desk.site, "ci", made["token"]))
    assert desk.push("HEAD:feature", remote="ci").ok
    refused = desk.push("main", remote="ci")
    assert not refused.ok and "The token or key of maya is developer of" in refused.out
    assert desk.page().text == "one"
    assert desk.run("ls-remote", shared.address(other.site, "ci", made["token"])).code == 128
    for path, body in (("tokens", {"actor": "maya"}), ("access", {"actor": "maya", "role": "admin"})):
        assert shared.api(f"/v1/{path}", made["token"], "POST", body).status == 403
    listed = shared.cli("token", "list").stdout
    (line,) = [one for one in listed.splitlines() if made["id"] in one]
    assert f"{desk.site} developer" in line
    shared.cli("token", "revoke", made["id"])
    assert "was revoked" in desk.push("HEAD:feature", remote="ci").out


def test_a_limit_to_a_site_is_not_to_the_next_one_of_its_name(shared):
    shared.ask("/sites", "POST", {"name": "passing"})
    shared.secret("pat", "maintainer")
    secret = token(shared, "pat", "--site", "passing")["token"]
    assert shared.api("/v1/sites/passing", secret).status == 200
    shared.ask("/sites/passing", "PATCH", {"name": "passed"})
    assert shared.api("/v1/sites/passed", secret).status == 200
    shared.cli("site", "remove", "passed", "--yes")
    shared.ask("/sites", "POST", {"name": "passed"})
    assert shared.api("/v1/sites/passed", secret).status == 404


def test_a_deploy_key_may_less_than_its_owner_and_says_when_it_was_used(desk, shared, tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "id")], check=True)
    made = shared.facts(
        "key", "add", "maya", str(tmp_path / "id.pub"), "--site", desk.site, "--role", "viewer"
    )
    assert made["used_at"] is None

    def knock(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*GITDEPLOY, "--home", str(shared.home), "ssh", made["id"]], capture_output=True, text=True,
            env={**os.environ, **GIT_ENV, "SSH_ORIGINAL_COMMAND": command}, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    assert "r1" in knock(f"releases {desk.site}").stdout
    refused = knock(f"redeploy {desk.site} --yes")
    assert refused.returncode == 5 and "The token or key of maya is viewer of" in refused.stderr
    assert knock(f"git-receive-pack '{desk.site}.git'").returncode != 0
    assert eventually(lambda: [one for one in shared.ask("/keys") if one["used_at"]])
