"""`gitdeploy login`: the command line as a process of its own, and somebody on the dashboard who lets it in."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest
from support import GITDEPLOY, Server
from web_support import EVIL, Tab, said


@pytest.fixture
def machine(request):
    one = Server()
    request.addfinalizer(one.destroy)
    one.start()
    one.cli("site", "create", "blog")
    one.cli("site", "create", "other")
    return one


@pytest.fixture
def away(machine, tmp_path):
    """A command line elsewhere: another user's folders, and no token."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GITDEPLOY")}
    env |= {"XDG_CONFIG_HOME": str(tmp_path / "config"), "NO_COLOR": "1"}

    def start(*words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*GITDEPLOY, *words], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        one = start(*words)
        out, err = one.communicate(timeout=60)
        return subprocess.CompletedProcess(words, one.returncode, out, err)

    run.start, run.url, run.kept = start, f"http://{machine.listen}", tmp_path / "config/gitdeploy/tokens"
    return run


def begun(process: subprocess.Popen[str]) -> str:
    """The code that it shows."""
    while line := process.stderr.readline():
        if found := re.match(r"Code +([A-Z]{4}-[A-Z]{4}) ", line):
            return found[1]
    raise AssertionError(process.wait())


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code, and what else it said."""
    _, told = process.communicate(timeout=30)
    return process.returncode, told


def test_a_code_that_somebody_allows_signs_the_command_line_in(machine, away):
    ana = Tab(machine, machine.token("ana", "maintainer"))
    assert away("--url", away.url, "site", "list").returncode == 5
    process = away.start("login", f"{away.url}/", "--site", "blog", "--role", "developer", "--expires", "2h")
    code = begun(process)
    assert Tab(machine).http.get("/login").headers["location"] == "/sign-in?next=%2Flogin"
    assert "Type the code" in said(ana.get("/login")) and code not in ana.get("/login")
    typed = code.replace("-", " ").lower()
    page = ana.post("/login", code=typed)
    for text in (
        code,
        os.uname().nodename,
        "127.0.0.1",
        "blog",
        "developer, at most",
        "2 h",
        "Allow it only if",
    ):
        assert text in said(page.text)
    assert page.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    forged = ana.http.post("/login", data={"code": code, "do": "allow"})
    assert forged.status_code == 403 and "not of your session" in said(forged.text)
    foreign = ana.http.post(
        "/login", data={"csrf": ana.csrf, "code": code, "do": "allow"}, headers={"Origin": "http://evil.test"}
    )
    assert foreign.status_code == 403 and process.poll() is None
    assert "It is in" in said(ana.post("/login", code=code, do="allow").text)
    status, told = ended(process)
    assert status == 0 and "ana is signed in" in told
    assert ana.post("/login", code=code, do="allow").status_code == 404, "once"

    (file,) = away.kept.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600 and away.kept.stat().st_mode & 0o077 == 0
    kept = json.loads(file.read_text())
    assert kept["token"] not in machine.said() and kept["actor"] == "ana"
    listed = away("--url", away.url, "site", "list", "--json")
    assert [one["name"] for one in json.loads(listed.stdout)] == ["blog"], "limited to one site"
    refused = away("--url", away.url, "lock", "blog", "--reason", "x")
    assert refused.returncode == 5 and "needs maintainer" in refused.stderr, "limited to a role"
    assert "login.allowed" in [one["action"] for one in machine.facts("events")]

    file.chmod(0o644)
    assert "Others may read" in away("--url", away.url, "site", "list").stderr
    file.chmod(0o600)
    assert away("logout", away.url).returncode == 0 and not list(away.kept.iterdir())
    assert machine.api("/v1/sites", kept["token"]).status == 401, "it counts no more"
    again = away("logout", away.url)
    assert again.returncode == 3 and "Nobody is signed in" in again.stderr


def test_what_is_denied_is_over_and_who_asks_too_often_waits_longer(machine, away):
    ana = Tab(machine, machine.token("ana", "developer", "blog"))
    process = away.start("login", away.url)
    denied = ana.post("/login", code=begun(process), do="deny")
    assert "It was denied" in said(denied.text)
    status, told = ended(process)
    assert status == 5 and "ana has denied this login" in told
    assert not away.kept.exists()

    def ask(path: str, **body: object) -> tuple[int, dict]:
        answer = machine.api(path, "", "POST", body)
        return answer.status, json.loads(answer.body)

    _, asked = ask("/v1/login", host=EVIL, sites=["other", "<b>x</b>"])
    assert re.fullmatch(r"[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", asked["user_code"])
    assert asked["verification_uri"] == f"http://{machine.listen}/login"
    page = ana.post("/login", code=asked["user_code"])
    assert EVIL in said(page.text) and "<b>x" not in page.text and "<script>window" not in page.text
    no = ana.post("/login", code=asked["user_code"], do="allow")
    assert no.status_code == 404 and "There is no site 'other'" in said(no.text), "not theirs to give"
    poll = {"device_code": asked["device_code"]}
    assert ask("/v1/login/token", **poll) == (200, {"state": "pending", "interval": 2})
    assert ask("/v1/login/token", **poll) == (200, {"state": "slow_down", "interval": 7})
    limited = Tab(machine, json.loads(machine.api(
        "/v1/tokens", machine.token("boss", "admin"), "POST", {"actor": "ana", "role": "viewer"}).body)["token"]
    )  # fmt: skip
    _, second = ask("/v1/login")
    more = limited.post("/login", code=second["user_code"], do="allow")
    assert more.status_code == 403 and "may not sign in others" in said(more.text)

    for _ in range(5):
        assert ana.post("/login", code="BBBB-BBBB").status_code in (404, 429)
    locked = ana.post("/login", code=second["user_code"])
    assert locked.status_code == 429 and "Too many wrong tries" in said(locked.text)
    assert ask("/v1/login/token", device_code="guessed")[0] == 404
    assert ask("/v1/login", host="x" * 81)[0] == 422 and ask("/v1/login", expires="900d")[0] == 422
    statuses = [ask("/v1/login")[0] for _ in range(12)]
    assert statuses[0] == 201 and statuses[-1] == 429, "knocks come at a human pace"
    machine.stop()
    machine.start()
    assert ask("/v1/login/token", **poll)[0] == 404, "a restart forgets them"
