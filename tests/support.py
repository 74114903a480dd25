"""A server, a project and a visitor, as a person would use them: through processes, sockets and git itself."""

from __future__ import annotations

import http.client
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import command_line
import pytest

from gitdeploy.runtime.edge import driver
from gitdeploy.store.home import Home

GITDEPLOY = (sys.executable, "-m", "gitdeploy")
GIT_ENV = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "Maya",
    "GIT_AUTHOR_EMAIL": "maya@example.org",
    "GIT_COMMITTER_NAME": "Maya",
    "GIT_COMMITTER_EMAIL": "maya@example.org",
}


def eventually(
    what: Callable[[], object], *, seconds: float = 20.0, why: str = "", pause: float = 0.02
) -> object:
    """Wait until `what()` is true and return it; fail after a deadline. `pause` is for what is dear to ask."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, why or f"not within {seconds} s"
        time.sleep(pause)
    return found


def share_package(top: Path) -> None:
    """Put the package into `top`, with what it imports before it starts anything, for a user without any right who
    runs it with the system's Python.
    """
    for name in ("gitdeploy", "cronsim"):
        source = Path(str(importlib.import_module(name).__file__)).parent
        shutil.copytree(source, top / name, ignore=lambda *_: ["__pycache__"])
    for path in (top, *top.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o644)


def without_bubblewrap(folder: Path) -> str:
    """A PATH that has in `folder` all programs of the system but that one."""
    folder.mkdir()
    for program in (one for part in ("/usr/bin", "/usr/sbin") for one in Path(part).iterdir()):
        if program.name != "bwrap" and not (folder / program.name).is_symlink():
            (folder / program.name).symlink_to(program)
    return str(folder)


@dataclass
class Page:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Server:
    """`gitdeploy serve` in a home of its own (a short path: sockets live in it)."""

    def __init__(
        self, *, edge_driver: str = "embedded", settings: str = "", edge: str = "", edge_tls: str = ""
    ) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="gd-", dir="/tmp"))
        self.home.chmod(0o711)  # apps of a server that is root run as nobody
        self.edge_driver = edge_driver
        self.listen = ""
        self.edge = edge
        self.edge_tls = edge_tls
        self.process: subprocess.Popen[bytes] | None = None
        self.log = self.home.with_suffix(".log")
        if settings:
            (self.home / "server.toml").write_text(settings)

    def start(self, *, command: tuple[str, ...] = GITDEPLOY) -> None:
        """Start and wait for `ready`. `command` may be another program that runs the same server."""
        begin = self.log.stat().st_size if self.log.exists() else 0
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*command, "serve", "--home", str(self.home), "--listen", self.listen or "127.0.0.1:0",
                 "--edge", self.edge or "127.0.0.1:0", "--edge-driver", self.edge_driver,
                 "--edge-tls", self.edge_tls],
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

        def ready() -> bool:
            assert self.process is not None and self.process.poll() is None, self.said(begin)
            return "\nready\n" in "\n" + self.said(begin)

        eventually(ready, seconds=30, why="the server did not get ready")
        said = self.said(begin)
        self.listen = re.search(r"git and API +http://(\S+?)/", said)[1]
        self.edge = self.edge or "127.0.0.1:" + re.search(r"sites +http://\S+?:(\d+)/", said)[1]

    def said(self, begin: int = 0) -> str:
        return self.log.read_bytes()[begin:].decode(errors="replace") if self.log.exists() else ""

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=60)

    def kill(self) -> None:
        """kill -9, as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def destroy(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self.kill()
        driver.stop(Home(self.home))
        shutil.rmtree(self.home, ignore_errors=True)
        self.log.unlink(missing_ok=True)

    def cli(self, *words: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "NO_COLOR": "1"}
        done = command_line.run("--home", str(self.home), *words, stdin=stdin, env=env, timeout=120)
        assert not check or done.returncode == 0, done.stderr + done.stdout
        return done

    def facts(self, *words: str) -> object:
        """What a command says with --json."""
        return json.loads(self.cli(*words, "--json").stdout)

    def token(self, actor: str, role: str = "", site: str = "") -> str:
        if role:
            self.cli("access", "grant", actor, role, *(("--site", site) if site else ()))
        return self.cli("token", "create", actor).stdout.strip()

    def remote(self, site: str, actor: str, role: str = "") -> str:
        """The HTTP address of a site with the actor's token in it."""
        return f"http://{actor}:{self.token(actor, role, site if role else '')}@{self.listen}/{site}.git"

    def get(self, host: str, path: str = "/", **headers: str) -> Page:
        """What a visitor gets from the edge; `host` without domain and port, such as `blog`."""
        return self.fetch(self.edge, path, Host=f"{host}.localhost", **headers)

    def api(self, path: str, token: str = "", method: str = "GET", body: object = None) -> Page:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        return self.fetch(self.listen, path, method=method, data=data, **headers)

    def fetch(
        self, address: str, path: str, *, method: str = "GET", data: bytes | None = None, **headers: str
    ) -> Page:
        connection = http.client.HTTPConnection(address, timeout=30)
        try:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            return Page(
                answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
            )
        finally:
            connection.close()


@dataclass
class Pushed:
    """How a git command ended: `out` is everything it said."""

    code: int
    out: str

    @property
    def ok(self) -> bool:
        return self.code == 0

    def release(self) -> str:
        """The release that this push made live."""
        return re.search(r"live: (r\d+)", self.out)[1]


class Project:
    """A person's own repository. A git command has `patience` seconds to end."""

    patience = 300

    def __init__(self, folder: Path, server: Server, *, branch: str = "main") -> None:
        self.folder = folder
        self.server = server
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", branch)

    def git(self, *words: str, check: bool = True, **env: str) -> str:
        done = self.run(*words, **env)
        assert not check or done.ok, done.out
        return done.out.strip()

    def run(self, *words: str, **env: str) -> Pushed:
        done = subprocess.run(
            ["git", *words], cwd=self.folder, env={**os.environ, **GIT_ENV, **env}, timeout=self.patience,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return Pushed(done.returncode, done.stdout.decode(errors="replace"))

    def commit(self, message: str = "change", **files: str) -> str:
        """Write files (`index_html="…"` is index.html; use `write` for others), commit all, return the id."""
        for name, text in files.items():
            self.write(name.replace("_", "."), text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def write(self, path: str, content: str | bytes) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)

    def push(self, *words: str, remote: str = "managed") -> Pushed:
        """`git push [options] managed <refs>`; options begin with a dash (or follow -o)."""
        options: list[str] = []
        refs: list[str] = []
        rest = list(words)
        while rest:
            word = rest.pop(0)
            if word == "-o":
                options += [word, rest.pop(0)]
            else:
                (options if word.startswith("-") else refs).append(word)
        return self.run("push", *options, remote, *refs)


def running(request: pytest.FixtureRequest) -> Server:
    """The fixture `server`; which edge serves it may be said by indirect parametrizing."""
    one = Server(edge_driver=getattr(request, "param", "embedded"))
    request.addfinalizer(one.destroy)
    one.start()
    return one


def project_of(server: Server, tmp_path: Path) -> Project:
    """The fixture `project`: its remote `managed` is the site `blog` of the server, pushed to by a maintainer."""
    server.cli("site", "create", "blog")
    one = Project(tmp_path / "project", server)
    one.git("remote", "add", "managed", server.remote("blog", "maya", "maintainer"))
    return one


def passing_project(server: Server, tmp_path: Path) -> Iterator[Project]:
    """The same on a server that others use after it: its sites are removed in the end."""
    yield project_of(server, tmp_path)
    for site in server.facts("site", "list"):
        server.cli("site", "remove", site["name"], "--yes")
