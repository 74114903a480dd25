"""What holds of many routes: pages of a list, what is read is tagged, what is told as it happens."""

from __future__ import annotations

import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from support import Project, Server, eventually


@pytest.fixture(scope="module")
def machine(request, tmp_path_factory):
    """A site with three releases."""
    one = Server()
    request.addfinalizer(one.destroy)
    one.start()
    one.cli("site", "create", "blog")
    project = one.project = Project(tmp_path_factory.mktemp("blog") / "blog", one)
    project.git("remote", "add", "managed", one.remote("blog", "maya", "maintainer"))
    for number in range(3):
        project.commit(f"{number}", index_html=f"<h1>{number}</h1>")
        assert project.push("main").ok
    return one


@pytest.fixture(scope="module")
def http(machine):
    known = {"Authorization": f"Bearer {machine.token('boss', 'admin')}"}
    with httpx.Client(base_url=f"http://{machine.listen}", headers=known, timeout=30) as one:
        yield one


def pages(http: httpx.Client, path: str) -> list[list]:
    """All of them, as their links lead."""
    found = []
    while path:
        answer = http.get(path)
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
        path = answer.links["next"]["url"] if "next" in answer.links else ""
    return found


def test_every_list_comes_in_pages_that_lead_to_the_next_and_the_command_line_follows(machine, http):
    for name in ("ana", "bea", "cid"):
        http.post("/v1/access", json={"actor": name, "role": "developer", "site": "blog"}).raise_for_status()
        http.post("/v1/tokens", json={"actor": name}).raise_for_status()
        hook = {"url": f"https://example.org/{name}", "site": "blog"}
        http.post("/v1/webhooks", json=hook).raise_for_status()
        domain = {"domain": f"{name}.example.org"}
        http.post("/v1/sites/blog/domains", json=domain).raise_for_status()
        http.post("/v1/sites", json={"name": f"site-{name}"}).raise_for_status()
        assert machine.project.push(f"HEAD:refs/heads/{name}").ok
        later = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
        http.post("/v1/sites/blog/redeploy", json={"at": later}).raise_for_status()
    for path, least in (
        ("/v1/sites", 4), ("/v1/sites/blog/releases?all=true", 6), ("/v1/sites/blog/builds", 3), ("/v1/events", 20),
        ("/v1/access", 5), ("/v1/access?site=blog", 4), ("/v1/tokens", 5), ("/v1/webhooks", 3),
        ("/v1/sites/blog/domains", 3), ("/v1/sites/blog/environments", 4), ("/v1/sites/blog/schedules", 3),
    ):  # fmt: skip
        mark = "&" if "?" in path else "?"
        whole = http.get(f"{path}{mark}limit=1000")
        assert "link" not in whole.headers and len(whole.json()) >= least, (path, whole.text)
        by_two = pages(http, f"{path}{mark}limit=2")
        assert all(len(page) == 2 for page in by_two[:-1]) and len(by_two) > 1
        assert [one for page in by_two for one in page] == whole.json(), path
    for path in (
        "snapshots",
        "moves",
        "cutover-requests",
        "rehearsals",
        "approvals",
        "incidents",
        "pictures",
    ):
        assert pages(http, f"/v1/sites/blog/{path}?limit=1") == [[]]
    most = len(machine.facts("events", "--limit", "1000"))
    assert most > 20 and len(machine.facts("events", "--limit", "7")) == 7
    assert [one["actor"] for one in machine.facts("token", "list")].count("cid") == 1


def test_the_command_line_reads_a_list_to_its_end(machine, http):
    with ThreadPoolExecutor(8) as pool:
        made = pool.map(lambda _: http.post("/v1/tokens", json={"actor": "many"}).status_code, range(510))
        assert set(made) == {201}
    listed = machine.facts("token", "list")
    assert [one["actor"] for one in listed].count("many") == 510, "more than one page of the command line"
    assert len({one["id"] for one in listed}) == len(listed)


def test_what_somebody_else_has_changed_meanwhile_is_not_changed_once_more(machine, http):
    site, config = "/v1/sites/blog", "/v1/sites/blog/config"
    first = http.get(site)
    tag = first.headers["etag"]
    again = http.get(site, headers={"If-None-Match": f'W/"x", {tag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert http.put(f"{site}/lock", json={"reason": "mine"}, headers={"If-Match": tag}).status_code == 200
    assert http.get(site, headers={"If-None-Match": tag}).status_code == 200
    for method, path, body in (
        ("PUT", f"{site}/lock", {"reason": "theirs"}), ("DELETE", f"{site}/lock", None), ("PATCH", site, {"name": "x"}),
        ("PATCH", config, {"set": {"A": {"value": "1"}}}), ("PATCH", f"{site}/allow", {"add": ["192.0.2.1"]}),
    ):  # fmt: skip
        stale = http.request(method, path, json=body, headers={"If-Match": tag})
        assert stale.status_code == 412 and stale.json()["error"]["code"] == "changed", stale.text
        assert "Retry-After" not in stale.headers
    assert http.get(site).json()["lock"] == "boss: mine"
    assert http.delete(f"{site}/lock", headers={"If-Match": "*"}).status_code == 200

    held = http.get(config).headers["etag"]
    began = threading.Barrier(8)

    def change(number: int) -> int:
        began.wait()
        body = {"set": {"WHO": {"value": str(number)}}}
        return http.patch(config, json=body, headers={"If-Match": held}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(change, range(8))) == [200, *[412] * 7], "one of them, and no more"
    assert http.get(config).json()["version"] == "c1"
    body = {"add": ["192.0.2.1"]}
    held = http.get(f"{site}/allow").headers["etag"]
    assert http.patch(f"{site}/allow", json=body, headers={"If-Match": held}).status_code == 200
    assert (
        http.patch(f"{site}/allow", json={"remove": ["192.0.2.1"]}, headers={"If-Match": held}).status_code
        == 412
    )


def test_an_incident_is_edited_and_closed_as_it_was_read(machine, http):
    machine.cli("rollback", "blog", "r1")
    path = "/v1/sites/blog/incident"
    held = http.get(path).headers["etag"]
    assert http.patch(path, json={"text": "mine"}, headers={"If-Match": held}).status_code == 200
    for answer in (
        http.patch(path, json={"text": "theirs"}, headers={"If-Match": held}),
        http.post(f"{path}/close", headers={"If-Match": held}),
    ):
        assert answer.status_code == 412 and "meanwhile" in answer.json()["error"]["message"]
    assert http.get(path).json()["text"] == "mine"


def heard(answer: httpx.Response) -> list[dict[str, str]]:
    """Server-sent events, as a browser would read them."""
    assert answer.headers["content-type"].startswith("text/event-stream"), answer.headers
    blocks = [block for block in answer.text.split("\n\n") if block and not block.startswith(":")]
    return [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]


def test_verbs_logs_and_events_are_told_as_server_sent_events(machine, http):
    asks = {"Accept": "text/event-stream"}
    key = {**asks, "Idempotency-Key": "once"}
    told = heard(http.post("/v1/sites/blog/redeploy", json={"reason": "again"}, headers=key))
    assert [one["event"] for one in told[:-1]] == ["said"] * (len(told) - 1) and len(told) > 2
    done = json.loads(told[-1]["data"])["result"]
    assert (told[-1]["event"], done["kind"]) == ("result", "redeploy")
    (again,) = heard(http.post("/v1/sites/blog/redeploy", json={"reason": "again"}, headers=key))
    assert json.loads(again["data"])["result"] == done, "kept, and told in the way that is asked for"

    path = f"/v1/builds/{done['build']}/log"
    lines = heard(http.get(path, headers=asks))
    assert lines[-1] == {"event": "end", "data": ""}
    plain = http.get(path).text
    assert [one["data"] for one in lines[:-1]] == plain.replace("\r", "").splitlines()

    all_of_it = heard(http.get("/v1/events/lines?site=blog", headers=asks))
    as_lines = [json.loads(line) for line in http.get("/v1/events/lines?site=blog").text.splitlines()]
    assert [json.loads(one["data"]) for one in all_of_it[:-1]] == as_lines
    assert [(one["id"], one["event"]) for one in all_of_it[:-1]] == [
        (one["id"], one["action"]) for one in as_lines
    ]
    rest = heard(
        http.get("/v1/events/lines?site=blog", headers={**asks, "Last-Event-ID": as_lines[-3]["id"]})
    )
    assert [one["id"] for one in rest[:-1]] == [one["id"] for one in as_lines[-2:]]


def test_who_follows_the_events_hears_what_happens_and_that_nothing_does(machine, http):
    path = "/v1/events/lines?site=blog&follow=true"
    last = http.get("/v1/events?site=blog&limit=1").json()[0]["id"]
    with http.stream("GET", path, headers={"Accept": "text/event-stream", "Last-Event-ID": last}) as answer:
        said = answer.iter_text()
        assert next(said) == ": nothing new\n\n"
        machine.cli("lock", "blog", "--reason", "stock-taking")
        found = next(one for one in said if one.startswith("id: "))
        assert re.match(r"id: evt_\w+\nevent: lock\.set\ndata: \{.*\}\n\n", found)
    machine.cli("unlock", "blog")


def test_what_may_go_well_later_says_when(machine, http):
    project = machine.project
    project.git("checkout", "-q", "-b", "slow")
    project.commit("Slow", gitdeploy_toml='[build]\ncommand = "sleep 300"\noutput = "out"\n')
    pushing = threading.Thread(target=project.push, args=("slow",))
    pushing.start()
    newest = "/v1/sites/blog/builds?limit=1"
    eventually(lambda: http.get(newest).json()[0]["state"] == "building")
    busy = http.patch("/v1/sites/blog", json={"name": "magazine"})
    assert busy.status_code == 409 and int(busy.headers["retry-after"]) > 0, busy.text
    assert "retry-after" not in http.post("/v1/sites", json={"name": "blog"}).headers
    http.post(f"/v1/builds/{http.get(newest).json()[0]['id']}/cancel").raise_for_status()
    pushing.join()
    until = {"until": "2099-01-01T00:00:00Z", "reason": "the sale"}
    http.post("/v1/sites/blog/freezes", json=until).raise_for_status()
    frozen = http.post("/v1/sites/blog/redeploy", json={})
    assert frozen.status_code == 409 and int(frozen.headers["retry-after"]) > 86400, frozen.text
