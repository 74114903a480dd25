"""The same key with the same request acts once, however often and from however many it is sent."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from scenario_support import STATIC
from support import eventually


@pytest.fixture
def desk(shared, tmp_path):
    made = shared.new_site(tmp_path / "project")
    made.write("gitdeploy.toml", STATIC)
    for text in ("one", "two"):
        made.write("index.html", text)
        made.commit(text)
        assert made.push("main").ok
    return made


def send(desk, key: str, body: dict, verb: str = "rollback", *, token: str = "", **headers: str):
    """The status, and what was answered."""
    shared = desk.shared
    headers = {"Authorization": f"Bearer {token or shared.admin}", "Content-Type": "application/json",
               "Idempotency-Key": key, **headers}  # fmt: skip
    path = f"/v1/sites/{desk.site}/{verb}"
    page = shared.fetch(shared.listen, path, method="POST", data=json.dumps(body).encode(), **headers)
    return page.status, page.body


def test_ten_at_once_have_one_effect_and_one_answer(desk):
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: send(desk, "k1", {"target": "r1"}), range(10)))
    assert len(set(answers)) == 1 and answers[0][0] == 200
    assert [one["release"] for one in desk.releases] == ["r3", "r2", "r1"]
    assert desk.page().text == "one"
    lines = send(desk, "k1", {"target": "r1"}, Accept="application/x-ndjson")
    assert json.loads(lines[1]) == {"result": json.loads(answers[0][1])}


def test_another_request_with_the_same_key_is_refused_and_another_persons_key_is_another(desk):
    assert send(desk, "k2", {"target": "r1"})[0] == 200
    status, said = send(desk, "k2", {"target": "r2"})
    assert status == 409 and b"used for another request" in said
    assert len(desk.releases) == 3
    hers = desk.shared.secret("zoe", "maintainer", desk.site)
    assert send(desk, "k2", {"target": "r2"}, token=hers)[0] == 200
    assert desk.page().text == "two"


def test_a_refusal_is_no_answer_for_good(desk):
    desk.shared.ask(f"/sites/{desk.site}/lock", "PUT", {"reason": "inventory"})
    status, said = send(desk, "k3", {"target": "r1", "dry_run": False}, "promote")
    assert status == 409 and b"inventory" in said
    desk.shared.ask(f"/sites/{desk.site}/lock", "DELETE")
    assert send(desk, "k3", {"target": "r1", "dry_run": False}, "promote")[0] == 200
    assert len(desk.releases) == 3


def test_an_answer_outlives_the_server_and_one_that_was_cut_off_is_not_given_again(desk, shared):
    done = send(desk, "k4", {"target": "r1"})
    shared.process.kill()
    shared.process.wait()
    shared.start()
    assert send(desk, "k4", {"target": "r1"}) == done
    assert len(desk.releases) == 3
    with ThreadPoolExecutor(1) as pool:
        desk.write("gitdeploy.toml", '[build]\ncommand = "sleep 30"\noutput = "."\n')
        desk.commit("slow")
        assert desk.push("-o", "skip", "HEAD:slow").ok
        slow = pool.submit(lambda: send(desk, "k5", {"target": "slow"}, "promote"))
        eventually(lambda: any(one["state"] == "building" for one in desk.builds))
        shared.process.kill()
        shared.process.wait()
        with pytest.raises(OSError):
            slow.result()
    shared.start()
    status, said = send(desk, "k5", {"target": "slow"}, "promote")
    assert status == 409 and b"was stopped while it was doing this" in said


def test_a_key_that_is_none_is_refused(desk):
    assert send(desk, "x" * 256, {"target": "r1"})[0] == 422
    assert len(desk.releases) == 2
