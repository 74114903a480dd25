"""kill -9 before every durable step of an app's deploy and rollback, and of its edge: visitors see none of it, and what
runs afterwards is what the ledger and the pointer say, and nothing else.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from crash_ground import SITE, Mortal, assert_agreed, assert_settled, kill
from support import Project, Pushed, eventually

from gitdeploy import bubblewrap

APP = """
import http.server, os

with open("index.html") as file:
    PAGE = file.read().encode()

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)
    def log_message(self, *words):
        pass

class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512

Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
TOML = """[processes]
web = { command = "exec python3 app.py", stop_timeout = "5s" }
worker = "exec sleep 3600"
release = "true"
"""
SHORT = ("apps.driver.start", "apps.driver.scale", "RefTransaction.__enter__", "durable.point",
         "RefTransaction.commit", "ledger commit in _record", "apps.driver.drain")  # fmt: skip
_counter = itertools.count(1)


class Visitors:
    """Two who come again and again, each time on a new connection."""

    def __init__(self, server: Mortal) -> None:
        self._server = server
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._visit) for _ in range(2)]
        self.pages: Counter[str] = Counter()
        self.failed: list[str] = []

    def __enter__(self) -> Visitors:
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for one in self._threads:
            one.join()

    def _visit(self) -> None:
        while not self._over.wait(0.005):
            try:
                page = self._server.get(SITE)
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                continue
            if page.status != 200:
                self.failed.append(f"{page.status} {page.text[-300:]}")
            self.pages[page.text] += 1


@pytest.fixture
def app(server, project):
    """The project with an app live."""
    project.write("app.py", APP)
    project.write("gitdeploy.toml", TOML)
    deploy(project)
    return project


def deploy(project: Project) -> Pushed:
    page = f"app {next(_counter)}"
    project.commit(page, index_html=page)
    return project.push("main")


@pytest.mark.parametrize("server", ["embedded", pytest.param("caddy", marks=pytest.mark.soak)], indirect=True)
@pytest.mark.parametrize("at", [SHORT, pytest.param((), marks=pytest.mark.soak)], ids=["short", "all"])
def test_a_deploy_of_an_app(server, app, at):
    assert sweep(server, app, lambda: deploy(app), at=at) >= (len(at) if at else 20)


@pytest.mark.soak
@pytest.mark.parametrize("server", ["embedded", "caddy"], indirect=True)
def test_a_rollback_of_an_app(server, app):
    def prepare() -> None:
        pushed = deploy(app)
        assert pushed.ok, pushed.out

    assert sweep(server, app, lambda: app.push("HEAD:rollback/previous"), prepare) > 12


def sweep(
    server: Mortal,
    project: Project,
    act: Callable[[], Pushed],
    prepare: Callable[[], None] = lambda: None,
    *,
    at: tuple[str, ...] = (),
) -> int:
    """Kill `act` at every step, or at the first of each kind in `at`; returns how often it was killed."""
    prepare()
    server.die_at(1_000_000)
    assert act().ok
    assert not server.died()
    server.kill_daemon()  # it counts from its start
    labels = [one.partition(" ")[2] for one in server.steps()]
    first = [next(n for n, one in enumerate(labels, 1) if one.endswith(label)) for label in at]
    kills = 0
    with Visitors(server) as visitors:
        for number in first or range(1, len(labels) + 1):
            prepare()
            before = assert_agreed(server, project)
            server.die_at(number)
            pushed = act()
            if server.died():
                kills += 1
            else:
                server.kill_daemon()
            after = assert_agreed(server, project)
            assert_settled(server)
            assert after == before or after.release > before.release
            assert after != before or not pushed.ok, pushed.out
            assert_only_the_live_slot_runs(server, after.pointer)
            assert not visitors.failed, (number, labels[number - 1], visitors.failed)
    assert len(visitors.pages) > 1
    return kills


def assert_only_the_live_slot_runs(server: Mortal, slot: str) -> None:
    """One keeper, two programs, and of slots and control groups no more than they need."""
    (known,) = {one["state"] for one in server.facts("ps", SITE)}
    assert known == "running"
    eventually(lambda: keepers(server) == [slot], seconds=30, why=f"{keepers(server)}, not only {slot}")
    eventually(lambda: len(programs(server)) == 2, seconds=30, why=f"{programs(server)}")


def keepers(server: Mortal) -> list[str]:
    """The slots whose keepers run."""
    return [
        words[-1].rpartition("/")[2] for words in _lines(server) if "gitdeploy.runtime.apps.keeper" in words
    ]


def _lines(server: Mortal) -> Iterator[list[str]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode(errors="replace").strip("\0").split("\0")
                if any(word.startswith(f"{server.home}/") for word in words):
                    yield words


def programs(server: Mortal) -> list[int]:
    """The processes that carry the mark of a slot of this home and work in it, without what stands around them."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                marked = b"GITDEPLOY_COPY=" in (entry / "environ").read_bytes()
                if (
                    marked
                    and not bubblewrap.surrounds(int(entry.name))
                    and str((entry / "cwd").readlink()).startswith(f"{server.home}/")
                ):
                    found.append(int(entry.name))
    return found


@pytest.mark.parametrize("server", ["caddy"], indirect=True)
def test_a_killed_caddy_is_back_and_knows_every_app(server, app):
    """While nothing happens, and while switches go on: nothing has to be told to it again."""
    kill(caddies(server))
    eventually(lambda: _page(server).startswith("app "), seconds=30)
    over = threading.Event()

    def again_and_again() -> None:
        while not over.wait(0.7):
            with contextlib.suppress(ProcessLookupError):
                for pid in caddies(server):
                    os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=again_and_again)
    killer.start()
    try:
        for _ in range(3):
            pushed = deploy(app)
            assert pushed.ok, pushed.out
            assert app.push("HEAD:rollback/previous").ok
        pushed = deploy(app)
        assert pushed.ok, pushed.out
    finally:
        over.set()
        killer.join()
    page = app.git("show", "HEAD:index.html")
    eventually(lambda: _page(server) == page, seconds=30)
    after = assert_agreed(server, app)
    assert_settled(server)
    assert_only_the_live_slot_runs(server, after.pointer)
    assert len(caddies(server)) == 1


def caddies(server: Mortal) -> list[int]:
    """Caddy runs in the home and names only files in it."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "comm").read_text() == "caddy\n" and (entry / "cwd").samefile(server.home):
                    found.append(int(entry.name))
    return found


def _page(server: Mortal) -> str:
    try:
        return server.get(SITE).text
    except (OSError, http.client.HTTPException):
        return ""
