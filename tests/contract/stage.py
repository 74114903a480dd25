"""What the contract is held against: a server, an app of one site, and what visitors and the app itself say.

Every program of the app calls in when it begins, and hangs up by ending: who is on the line runs, wherever it is.
"""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nodes import Node
from support import Page, Project, Pushed, Server, eventually

APP = """
import os, signal, socket, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TEXT, HEALTH, MIGRATES = %(text)r, %(health)r, %(migrates)r
RELEASE, ENV = os.environ["GITDEPLOY_RELEASE"], os.environ["GITDEPLOY_ENV"]
program = sys.argv[1]
line = socket.create_connection(%(roll)r)
line.sendall(f"{program} {ENV} {RELEASE}\\n".encode())

class Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        status, path = 200, self.path.split("/")[1]
        if path == "health" and not HEALTH:
            status = 500
        if path == "slow":
            time.sleep(float(self.path.split("/")[2]))
        if path == "crash":
            os._exit(3)
        if path == "secret":
            print("the secret is", os.environ["TOKEN"], flush=True)
        body = f"{TEXT} {RELEASE} {os.environ.get('COLOR')} {os.environ.get('TOKEN')}".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *said):
        pass

print(f"{program} says {TEXT}", flush=True)
if program == "release":
    sys.exit(0 if MIGRATES else 4)
if program == "worker":
    signal.pause()
if program == "web":
    ThreadingHTTPServer.daemon_threads = False  # what is under way is finished
    server = ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Page)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.1)
    server.server_close()
"""
SETTINGS = """
[runtime]
driver = "{driver}"
[health]
path = "/health"
timeout = "6s"
[processes]
web = {{ command = "exec python3 app.py web", stop_timeout = "{stop_timeout}s" }}
worker = "exec python3 app.py worker"
release = "python3 app.py release"
[cron]
"* * * * *" = "python3 app.py cron"
[production]
keep = 20
"""
SITE = "shop"
SECRET = 'it\'s s3cret & "long"'
STOP_TIMEOUT = 5
"""Seconds."""


class Roll:
    """Who called in: `PROGRAM ENVIRONMENT RELEASE`."""

    def __init__(self, address: str) -> None:
        self.heard: list[str] = []
        self._there: list[str] = []
        self._door = socket.create_server((address, 0))
        self.address = self._door.getsockname()
        threading.Thread(target=self._listen, daemon=True).start()

    def there(self, program: str, env: str = "production") -> list[str]:
        """The releases of those that run now."""
        return sorted(one.split()[2] for one in list(self._there) if one.split()[:2] == [program, env])

    def close(self) -> None:
        self._door.close()

    def _listen(self) -> None:
        while True:
            try:
                line, _ = self._door.accept()
            except OSError:
                return
            threading.Thread(target=self._hear, args=(line,), daemon=True).start()

    def _hear(self, line: socket.socket) -> None:
        with line, line.makefile() as file:
            said = file.readline().strip()
            self.heard.append(said)
            self._there.append(said)
            try:
                file.read()
            except OSError:
                pass
            self._there.remove(said)


@dataclass
class Stage:
    """`edges` are where visitors come in, `HOST:PORT`."""

    driver: str
    server: Server
    edges: Sequence[str]
    roll: Roll
    folder: Path
    nodes: Sequence[Node] = ()

    @cached_property
    def project(self) -> Project:
        """The working copy of the site `shop`, with something live in production that was configured before."""
        self.server.cli("site", "create", SITE)
        self.server.cli("config", "set", SITE, "COLOR=red")
        self.server.cli("config", "set", "--secret", SITE, "TOKEN=-", stdin=f"{SECRET}\n")
        one = Project(self.folder / "project", self.server)
        one.git("remote", "add", "managed", self.server.remote(SITE, "maya", "maintainer"))
        self._write(one, "first")
        pushed = one.push("main")
        assert pushed.ok, pushed.out
        return one

    @property
    def live(self) -> str:
        """The name of what is live in production."""
        return str(self.server.facts("live", SITE)["release"])

    def change(
        self, text: str, *, health: bool = True, migrates: bool = True, settings: str = "",
        stop_timeout: int = STOP_TIMEOUT,
    ) -> str:  # fmt: skip
        """Commit an app that says `text`; returns the commit."""
        return self._write(self.project, text, health, migrates, settings, stop_timeout)

    def push(self, *words: str) -> Pushed:
        """What has to go well."""
        pushed = self.project.push(*words or ("main",))
        assert pushed.ok, pushed.out
        return pushed

    def page(self, path: str = "/", label: str = "", *, method: str = "GET", within: float = 30) -> Page:
        """What a visitor gets of production, or of the preview `label`. What is asked by POST no edge asks twice."""
        host = f"{label}--{SITE}.localhost" if label else f"{SITE}.localhost"
        link = http.client.HTTPConnection(self.edges[0], timeout=within)
        try:
            link.request(method, path, headers={"Host": host})
            got = link.getresponse()
            return Page(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())
        finally:
            link.close()

    def shows(self, text: str, label: str = "") -> None:
        """Visitors get it, and go on to: on the swarm from about a second after a push says that it is live."""
        eventually(lambda: self.page(label=label).text.startswith(text), why=f"{text!r} is not shown")

    def _write(
        self, project: Project, text: str, health: bool = True, migrates: bool = True, settings: str = "",
        stop_timeout: int = STOP_TIMEOUT,
    ) -> str:  # fmt: skip
        said = {"text": text, "health": health, "migrates": migrates, "roll": self.roll.address}
        project.write("app.py", APP % said)
        project.write(
            "gitdeploy.toml", SETTINGS.format(driver=self.driver, stop_timeout=stop_timeout) + settings
        )
        return project.commit(text)
