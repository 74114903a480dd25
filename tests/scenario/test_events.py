"""The audit log as it is read, followed and proven, and the server in numbers."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import threading
from datetime import UTC, datetime
from pathlib import Path

from scenario_support import STATIC, Shared, of_its_own
from support import GITDEPLOY, Server

shared = of_its_own

DASHBOARD = Path(__file__).parents[2] / "templates" / "grafana.json"


def samples(server: Server, token: str) -> dict[str, float]:
    """As Prometheus reads them: a line a sample, each after the HELP and TYPE of its family."""
    answer = server.api("/metrics", token)
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found, family = {}, ""
    for line in answer.text.splitlines():
        if line.startswith("# "):
            family = re.fullmatch(r"# (?:HELP|TYPE) (\w+) .+", line)[1]
            continue
        name, value = re.fullmatch(r"(\w+(?:\{\w+=\"[^\"]*\"(?:,\w+=\"[^\"]*\")*\})?) (\S+)", line).groups()
        assert name.startswith(family)
        found[name] = float(value)
    return found


def test_the_log_is_followed_exported_and_cut_by_time(shared, desk, tmp_path):
    follower = subprocess.Popen(
        [*GITDEPLOY, "--home", str(shared.home), "events", "--follow", "--since", "1h", "--json",
         "--site", desk.site],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    late = threading.Timer(60, follower.kill)
    late.start()
    try:
        desk.write("gitdeploy.toml", STATIC)
        desk.commit("one", index_html="one")
        moment = datetime.now(UTC).isoformat()
        assert desk.push("main").ok
        seen = []
        while not seen or seen[-1]["action"] != "release.live":
            seen.append(json.loads(follower.stdout.readline()))
    finally:
        late.cancel()
        follower.kill()
        follower.communicate()
    newest = shared.ask(f"/events?site={desk.site}")
    newest = newest[next(n for n, one in enumerate(newest) if one["action"] == "release.live") :]
    assert newest[::-1] == seen
    exported = [
        json.loads(line) for line in shared.cli("events", "export", "--site", desk.site).stdout.splitlines()
    ]
    assert exported[: len(seen)] == seen
    since = shared.ask(f"/events?site={desk.site}&since={moment.replace('+', '%2B')}")
    assert since == [one for one in exported[::-1] if one["at"] >= moment[:23]] and len(since) < len(exported)
    rest = shared.fetch(shared.listen, f"/v1/events/lines?site={desk.site}&after={exported[1]['id']}",
                        Authorization=f"Bearer {shared.admin}").text  # fmt: skip
    assert [json.loads(line) for line in rest.splitlines()] == exported[2:]
    viewer = shared.secret("vic", "viewer", desk.site)
    for path in ("/v1/events", "/v1/events/lines", f"/v1/events/lines?site={desk.site}", "/v1/events/verify"):
        assert shared.api(path, viewer).status == 403, path
    assert shared.api("/v1/events?since=yesterday", shared.admin).status == 422


def test_what_was_changed_in_the_log_is_named(request, tmp_path):
    server = Shared()
    request.addfinalizer(server.destroy)
    server.start()
    for name in ("one", "two", "three"):
        server.ask("/sites", "POST", {"name": name})
    held = server.facts("events", "verify")
    assert held["broken"] is None and held["number"] == len(server.ask("/events"))
    assert held["head"] == server.ask("/events")[0]["hash"]
    second = server.ask("/events")[-2]

    def broken_by(sql: str) -> dict:
        with sqlite3.connect(server.home / "ledger.db", isolation_level=None) as ledger:
            ledger.execute("CREATE TEMP TABLE kept AS SELECT * FROM events")
            ledger.execute(sql)
            done = server.api("/v1/events/verify", server.admin)
            ledger.execute("DELETE FROM events")
            ledger.execute("INSERT INTO events SELECT * FROM kept")
            ledger.execute("DROP TABLE kept")
        return json.loads(done.body)

    assert broken_by("UPDATE events SET actor = 'eve' WHERE number = 2")["broken"] == second["id"]
    assert broken_by("UPDATE events SET data = 'x' WHERE number = 2")["broken"] == second["id"]
    assert broken_by("DELETE FROM events WHERE number = 1")["broken"] == second["id"]
    gone = broken_by("DELETE FROM events WHERE number = 2")
    assert (gone["number"], gone["why"]) == (3, "lines before it are gone")
    assert server.cli("events", "verify").stdout.startswith(f"{held['number']} lines hold")
    with sqlite3.connect(server.home / "ledger.db") as ledger:
        ledger.execute("UPDATE events SET site = 'other' WHERE number = 2")
    done = server.cli("events", "verify", check=False)
    assert done.returncode == 6 and second["id"] in done.stderr


def test_the_server_in_numbers(shared, desk):
    viewer = shared.secret("val", "viewer")
    before = samples(shared, viewer)
    desk.write("gitdeploy.toml", STATIC)
    desk.commit("one", index_html="one")
    assert desk.push("main").ok
    desk.write("gitdeploy.toml", '[build]\ncommand = "false"\noutput = "."\n')
    desk.commit("three")
    assert not desk.push("main").ok

    def grew(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    after = samples(shared, viewer)
    assert grew('gitdeploy_pushes_total{outcome="accepted"}') == 1
    assert grew('gitdeploy_pushes_total{outcome="refused"}') == 1
    assert (
        grew('gitdeploy_builds_total{state="built"}') == grew('gitdeploy_builds_total{state="failed"}') == 1
    )
    assert grew("gitdeploy_build_seconds_count") == grew('gitdeploy_build_seconds_bucket{le="+Inf"}') == 2
    assert grew('gitdeploy_releases_total{state="live"}') == grew("gitdeploy_release_seconds_count") == 1
    assert after[f'gitdeploy_live_release{{site="{desk.site}"}}'] == 1
    assert grew("gitdeploy_event_head") == sum(
        grew(name) for name in after if name.startswith("gitdeploy_events_total")
    )
    assert after['gitdeploy_builds_open{state="building"}'] == after["gitdeploy_lanes_waiting"] == 0
    assert 0 < after["gitdeploy_disk_free_bytes"] <= after["gitdeploy_disk_bytes"]
    assert {"gitdeploy_webhooks_failing", 'gitdeploy_snapshots{state="unproven"}'} <= set(after)
    assert shared.api("/metrics").status == 401
    assert shared.api("/metrics", shared.secret("mo", "maintainer", desk.site)).status == 403
    dashboard = json.loads(DASHBOARD.read_text())
    used = {
        name
        for one in dashboard["panels"]
        for it in one["targets"]
        for name in re.findall(r"gitdeploy_\w+", it["expr"])
    }
    known = {re.match(r"\w+", name)[0] for name in after}
    assert used and used <= known
