"""A program goes live by a push, is followed, rolled back, configured, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from support import Project, Server, eventually, passing_project, running, without_bubblewrap

from gitdeploy.runtime.apps.place import Files

server = pytest.fixture(scope="module", params=["embedded"])(running)
project = pytest.fixture(passing_project)

APP = """
import os, http.server, json

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = {body}
        text = body.encode()
        self.send_response(200 if self.path != "/teapot" else 418)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    def log_message(self, *words):
        print("asked for", self.path, flush=True)

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
PAGE = "'%s ' + os.environ['GITDEPLOY_RELEASE'] + ' ' + os.environ.get('COLOR', 'plain')"


def write(project: Project, word: str, body: str = "") -> str:
    project.write("app.py", APP.replace("{body}", body or PAGE % word))
    project.write("Procfile", "web: exec python3 app.py\n")
    return project.commit(word)


@pytest.fixture
def shop(server, project):
    write(project, "one")
    pushed = project.push("main")
    assert pushed.ok, pushed.out
    return project


@pytest.mark.parametrize("server", ["embedded", "caddy"], indirect=True)
def test_an_app_goes_live_by_a_push_and_back_by_another(server, shop):
    assert server.get("blog").text == "one r1 plain"
    write(shop, "two")
    assert shop.push("HEAD:feature/x").ok
    assert server.get("feature-x--blog").text == "two r2 plain"
    builds = [one["id"].lower().replace("_", "-") for one in server.facts("builds", "blog")]
    assert all(server.get(f"{build}--blog", "/app.py").status == 404 for build in builds)
    assert server.get("blog").text == "one r1 plain"
    pushed = shop.push("main")
    assert pushed.ok and "reused" in pushed.out and "healthy in" in pushed.out, pushed.out
    assert server.get("blog").text == "two r3 plain"
    assert shop.push("HEAD:rollback/r1").ok
    assert server.get("blog").text == "one r4 plain"
    assert shop.push("HEAD:rollback/r3").ok
    assert server.get("blog").text == "two r5 plain"


def test_what_does_not_become_healthy_is_refused_with_its_own_last_lines(server, shop):
    before = shop.git("ls-remote", "managed")
    shop.write("app.py", "print('no such table: cakes', flush=True)\nraise SystemExit(3)\n")
    shop.commit("broken")
    pushed = shop.push("main")
    assert pushed.code == 1
    assert "keeps crashing" in pushed.out and "no such table: cakes" in pushed.out
    assert shop.git("ls-remote", "managed") == before
    assert server.get("blog").text == "one r1 plain"
    assert [one["release"] for one in server.facts("releases", "blog")] == ["r1"]
    shop.git("reset", "-q", "--hard", "HEAD~1")
    write(shop, "mended")
    assert shop.push("main").ok
    assert server.get("blog").text.startswith("mended")
    eventually(lambda: keepers(server) == 1)


def test_health_is_what_the_site_says_it_is(server, shop):
    shop.write("gitdeploy.toml", '[health]\npath = "/teapot"\ntimeout = "3s"\n')
    shop.commit("asks for the teapot")
    pushed = shop.push("main")
    assert pushed.code == 1 and "GET /teapot answered 418, not 200" in pushed.out, pushed.out
    shop.write("gitdeploy.toml", '[health]\npath = "/teapot"\nexpect = 418\ncontains = "one"\n')
    shop.commit("a teapot it is")
    pushed = shop.push("main")
    assert pushed.ok and "GET /teapot 418" in pushed.out, pushed.out


def test_the_release_command_runs_before_what_is_new_and_never_on_the_way_back(server, shop):
    release = "release: echo migrating; echo $GITDEPLOY_RELEASE >> $GITDEPLOY_DATA/ran; test ! -e fails\n"
    shop.write("Procfile", "web: exec python3 app.py\n" + release)
    shop.commit("with a release command")
    pushed = shop.push("main")
    assert pushed.ok and "migrating" in pushed.out, pushed.out
    ran = server.home / "sites/blog/production/data/1/ran"
    assert ran.read_text() == "r2\n"
    advice = server.facts("doctor", "blog", "--incident")
    assert advice["release_command"].startswith("echo migrating") and "previous" in advice["command"]
    server.get("blog", "/last-words")
    assert shop.push("HEAD:rollback/r1").ok
    incident = server.facts("incident", "show", "blog")
    assert "The last that r2 said:" in incident["facts"] and "asked for /last-words" in incident["facts"]
    assert "r1 web.1" not in incident["facts"]
    assert [box["name"] for box in incident["gate"] if box["ticked"]] == ["restored"]
    assert shop.push("HEAD:rollback/r2").ok
    assert ran.read_text() == "r2\n"
    shop.write("fails", "")
    shop.commit("whose release command fails")
    pushed = shop.push("main")
    assert pushed.code == 1 and "release command ended with exit code 1" in pushed.out, pushed.out
    assert server.get("blog").text == "one r4 plain"


def test_configuration_is_a_release_of_its_own_and_a_rollback_chooses(server, shop):
    done = server.cli("config", "set", "blog", "COLOR=red")
    assert "healthy in" in done.stderr, done.stderr
    assert server.get("blog").text == "one r2 red"
    newest = server.facts("releases", "blog")[0]
    assert (newest["kind"], newest["config"]) == ("config", "c1")
    advice = server.facts("doctor", "blog", "--incident")
    assert (advice["last_change"], advice["config"]["production"]["added"]) == ("configuration", ["COLOR"])
    assert advice["command"] == "git push -o config=then managed HEAD:rollback/r1"
    write(shop, "two")
    assert shop.push("main").ok
    server.cli("config", "set", "blog", "COLOR=blue", "SHAPE=-", "--secret", stdin="round\n")
    assert server.get("blog").text == "two r4 blue"
    pushed = shop.push("HEAD:rollback/r2")
    assert pushed.ok and "SHAPE added, COLOR changed" in pushed.out, pushed.out
    assert server.get("blog").text == "one r5 blue"
    assert shop.push("-o", "config=then", "HEAD:rollback/r2").ok
    assert server.get("blog").text == "one r6 red"
    assert shop.push("HEAD:feature/x").ok
    assert server.get("feature-x--blog").text.endswith(" plain")


def test_configuration_that_makes_the_app_ill_is_taken_back(server, shop):
    body = "{}[os.environ['COLOR']] if os.environ.get('COLOR') == 'bad' else 'well'"
    write(shop, "careful", body)
    assert shop.push("main").ok
    server.cli("config", "set", "blog", "COLOR=good")
    shop.write("gitdeploy.toml", '[health]\ntimeout = "2s"\n')
    shop.commit("impatient")
    assert shop.push("main").ok
    assert server.cli("config", "set", "blog", "COLOR=bad", check=False).returncode == 1
    assert server.cli("config", "get", "blog", "COLOR").stdout.strip() == "good"
    assert server.get("blog").text == "well"


def test_processes_are_seen_scaled_followed_and_joined(server, shop):
    shop.write("Procfile", "web: exec python3 app.py\nworker: while true; do echo at work; sleep 1; done\n")
    shop.commit("with a worker")
    assert shop.push("main").ok
    server.get("blog", "/somewhere")
    assert [(one["name"], one["state"]) for one in server.facts("ps", "blog")] == [
        ("web.1", "running"),
        ("worker.1", "running"),
    ]
    (production,) = json.loads(server.api("/v1/sites/blog/environments", server.token("maya")).text)
    assert [one["name"] for one in production["processes"]] == ["web.1", "worker.1"]
    server.cli("scale", "blog", "web=2", "worker=0")
    assert [one["name"] for one in server.facts("ps", "blog")] == ["web.1", "web.2"]
    write(shop, "two")
    assert shop.push("main").ok
    assert [one["name"] for one in server.facts("ps", "blog")] == ["web.1", "web.2"]
    assert server.cli("scale", "blog", "wbe=2", check=False).returncode == 2
    said = server.cli("logs", "blog", "--process", "web").stdout
    assert "asked for /somewhere" in said and "at work" not in said
    assert "r2 worker.1 | at work" in server.cli("logs", "blog").stdout
    done = server.cli("run", "blog", "--", "sh", "-c", "echo $GITDEPLOY_RELEASE; pwd; exit 7", check=False)
    assert done.returncode == 7
    assert done.stdout.splitlines()[0] == "r3" and done.stdout.splitlines()[1].endswith("/slots/r3/app")


@pytest.mark.parametrize("server", ["embedded", "caddy"], indirect=True)
def test_a_site_without_a_web_process_says_so_at_once(server, shop):
    server.cli("scale", "blog", "web=0")
    begin = time.monotonic()
    for method in ("GET", "HEAD", "POST"):
        data = b"x" * 1_000_000 if method == "POST" else None
        page = server.fetch(server.edge, "/any", method=method, data=data, Host="blog.localhost")
        assert (page.status, page.headers["retry-after"], page.headers["cache-control"]) == (
            503,
            "5",
            "no-store",
        )
        assert ("no web process running" in page.text) == (method != "HEAD")
    assert time.monotonic() - begin < 5
    server.cli("scale", "blog", "web=1")
    assert server.get("blog").text == "one r1 plain"


def test_apps_answer_while_the_daemon_is_killed_and_are_known_again(server, shop):
    (before,) = server.facts("ps", "blog")
    server.kill()
    assert server.get("blog").text == "one r1 plain"
    server.start()
    assert server.facts("ps", "blog") == [before]
    os.kill(before["pid"], 9)
    eventually(lambda: [one["restarts"] for one in server.facts("ps", "blog")] == [1])
    assert server.get("blog").text == "one r1 plain"


def test_the_doctor_names_a_program_that_does_not_stay_up(server, shop):
    shop.write(
        "Procfile", "web: exec python3 app.py\nworker: test ! -e $GITDEPLOY_DATA/ill && exec sleep 3600\n"
    )
    shop.commit("with a worker")
    assert shop.push("main").ok
    assert not [one for one in server.facts("doctor") if one["name"] == "apps"]
    (server.home / "sites/blog/production/data/1/ill").touch()
    worker = next(one for one in server.facts("ps", "blog") if one["name"] == "worker.1")
    os.kill(worker["pid"], 9)

    def told() -> list[str]:
        facts = json.loads(server.cli("doctor", "--json", check=False).stdout)
        return [one["said"] for one in facts if one["name"] == "apps"]

    eventually(lambda: any("worker.1 of blog production ended" in one for one in told()))


def test_the_doctor_says_whether_apps_are_confined(server, tmp_path, monkeypatch):
    def told(one: Server) -> list[tuple[str, str]]:
        facts = json.loads(one.cli("doctor", "--json", check=False).stdout)
        return [(one["level"], one["said"]) for one in facts if one["name"] == "confinement"]

    assert told(server) == [("ok", "programs of apps are confined by bubblewrap")]
    monkeypatch.setenv("PATH", without_bubblewrap(tmp_path / "tools"))
    poor = Server()
    try:
        poor.start()
        ((level, said),) = told(poor)
        assert level == "warning" and said.endswith("is not installed (apt-get install bubblewrap)")
    finally:
        poor.destroy()


def test_a_killed_keeper_is_followed_by_another(server, shop):
    (before,) = server.facts("ps", "blog")
    record = server.home / "sites/blog/production/slots/r1/state.json"
    os.kill(json.loads(record.read_text())["keeper"]["pid"], 9)
    eventually(lambda: server.get("blog").status == 200)
    (after,) = server.facts("ps", "blog")
    assert (after["pid"], after["restarts"]) == (before["pid"], 0)


def test_nothing_is_left_of_what_was_left(server, shop):
    """Releases come and go: no keeper, folder, socket or control group stays."""
    for word in ("two", "three"):
        write(shop, word)
        assert shop.push("main").ok
        assert shop.push("HEAD:rollback/previous").ok
    assert shop.push("HEAD:feature/x").ok
    eventually(lambda: keepers(server) == 2, seconds=60)
    assert shop.push(":feature/x").ok
    eventually(lambda: keepers(server) == 1, seconds=60)
    slots = server.home / "sites/blog/production/slots"
    eventually(lambda: [one.name for one in slots.iterdir()] == ["r5"], seconds=60)
    server.cli("site", "remove", "blog", "--yes")
    eventually(lambda: keepers(server) == 0, seconds=60)
    left = [*Path("/sys/fs/cgroup").rglob("gitdeploy-app-*")]
    keys = {Files(slots / f"r{number}").key for number in range(1, 6)}
    assert not [one for one in left if any(key in one.name for key in keys)]


def keepers(server: Server) -> int:
    """How many keepers of this server run."""
    found = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            found += b"gitdeploy.runtime.apps.keeper" in words and any(
                word.startswith(os.fsencode(server.home)) for word in words
            )
    return found


@pytest.mark.parametrize("ill", ["errors", "crashes"])
def test_what_fails_in_its_watch_window_is_rolled_back_and_marked(server, shop, ill):
    shop.write("gitdeploy.toml", '[production]\nwatch = "5m"\n')
    shop.commit("watched")
    assert shop.push("main").ok
    trap = {"errors": "1 / 0", "crashes": "os._exit(3)"}[ill]
    write(shop, "trapped", f"'well' if self.path == '/' else {trap}")
    assert shop.push("main").ok
    assert server.get("blog").text == "well"
    eventually(lambda: server.get("blog", "/trap").status == 200, seconds=60)
    releases = server.facts("releases", "blog")
    assert (releases[0]["kind"], releases[0]["actor"]) == ("rollback", "gitdeploy")
    assert "watch: " in releases[0]["reason"]
    assert (releases[1]["state"], releases[1]["mark"]) == ("rolled_back", "bad")
    assert server.get("blog").text == "one r4 plain"


def test_a_renamed_site_goes_on_under_its_new_name(server, shop):
    server.cli("site", "rename", "blog", "shop")
    assert server.get("shop").text == "one r2 plain"
    (web,) = server.facts("ps", "shop")
    os.kill(web["pid"], 9)
    eventually(lambda: server.facts("ps", "shop")[0]["restarts"] == 1)
    assert server.get("shop").text == "one r2 plain"
    eventually(lambda: keepers(server) == 1)


def test_secrets_are_masked_in_what_an_app_says(server, shop):
    secret = "h0nter2/ü&%s" % ("x" * 20)
    server.cli("config", "set", "blog", "KEY=-", "--secret", stdin=f"{secret}\n")
    body = "print(k := os.environ['KEY'], base64.b64encode(k.encode()), urllib.parse.quote(k), flush=True) or 'said'"
    write(shop, "talkative", body)
    shop.write("app.py", "import base64, urllib.parse\n" + (shop.folder / "app.py").read_text())
    shop.commit("talkative")
    assert shop.push("main").ok
    assert server.get("blog").text == "said"
    said = server.cli("logs", "blog").stdout
    assert "[redacted] b'[redacted]' [redacted]" in said, said
    assert secret not in (server.home / "logs/apps/blog/production/web.1.log").read_text()
