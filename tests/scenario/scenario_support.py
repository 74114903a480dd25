"""A server that many tests share, each with a site of its own, and builds that a test holds up as long as it likes."""

from __future__ import annotations

import http.server
import itertools
import json
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from support import GIT_ENV, Page, Project, Pushed, Server, eventually

_numbers = itertools.count(1)
STATIC = '[build]\noutput = "."\n'


class Shared(Server):
    """A server with an administrator's token, so that sites, tokens and facts come over its API."""

    admin: str

    def start(self, *, command: tuple[str, ...] | None = None) -> None:
        super().start(**({"command": command} if command else {}))
        self.admin = self.token("boss", "admin")

    def ask(self, path: str, method: str = "GET", body: object = None, *, token: str = "") -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {token or self.admin}", "Content-Type": "application/json"}
        answer = self.fetch(self.listen, "/v1" + path, method=method, data=data, **headers)
        assert answer.status < 400, answer.text
        return json.loads(answer.body)

    def secret(self, actor: str, role: str = "", site: str = "*") -> str:
        """A token for `actor`, who holds `role` on `site`."""
        if role:
            self.ask("/access", "POST", {"actor": actor, "role": role, "site": site})
        return self.ask("/tokens", "POST", {"actor": actor})["token"]

    def address(self, site: str, actor: str, secret: str) -> str:
        return f"http://{actor}:{secret}@{self.listen}/{site}.git"

    def new_site(self, folder: Path, *, branch: str = "main") -> Desk:
        """A new site and, in `folder`, a project whose remote `managed` it is, pushed to by a maintainer of it."""
        name = f"site{next(_numbers)}"
        self.ask("/sites", "POST", {"name": name})
        return Desk(folder, self, name, branch=branch)

    @property
    def daemon(self) -> int:
        assert self.process is not None
        return self.process.pid


def shared_server(request: pytest.FixtureRequest) -> Shared:
    one = Shared()
    request.addfinalizer(one.destroy)
    one.start()
    return one


of_its_own = pytest.fixture(scope="module")(shared_server)
"""`shared = of_its_own` in a module: its server is nobody else's."""


class Desk(Project):
    """A person's project with the site it is pushed to, and what the server says of that site."""

    def __init__(self, folder: Path, server: Shared, site: str, *, branch: str = "main") -> None:
        super().__init__(folder, server, branch=branch)
        self.shared = server
        self.site = site
        self.git("remote", "add", "managed", self.as_actor("maya", "maintainer"))

    def as_actor(self, actor: str, role: str) -> str:
        """The site's address for `actor`, who holds `role` on it."""
        return self.shared.address(self.site, actor, self.shared.secret(actor, role, self.site))

    @property
    def repository(self) -> Path:
        return self.shared.home / "repos" / f"{self.site}.git"

    def clone(self, folder: Path, *options: str) -> Project:
        """A second working copy, of somebody else's."""
        url = self.git("remote", "get-url", "managed")
        self.git("clone", "-q", "-o", "managed", *options, url, str(folder))
        return Copy(folder, self.shared)

    def page(self, label: str = "", path: str = "/", **headers: str) -> Page:
        """What a visitor gets from production, or from the preview `label`."""
        return self.shared.get(f"{label}--{self.site}" if label else self.site, path, **headers)

    def facts(self, what: str) -> Any:
        return self.shared.ask(f"/sites/{self.site}/{what}")

    @property
    def releases(self) -> list[dict[str, Any]]:
        return self.facts("releases?all=1")

    @property
    def builds(self) -> list[dict[str, Any]]:
        return self.facts("builds")

    @property
    def live(self) -> dict[str, Any]:
        return self.facts("live")

    @property
    def environments(self) -> list[str]:
        return [one["name"] for one in self.facts("environments")]

    @property
    def built(self) -> int:
        """How often something was really built: its log was written."""
        logs = self.shared.home / "logs" / "builds"
        return sum((logs / f"{one['id']}.log").exists() for one in self.builds)

    def refs(self) -> dict[str, str]:
        """What the server's repository holds, past every rule of the doors."""
        listed = subprocess.run(
            ["git", "-C", str(self.repository), "for-each-ref", "--format=%(refname) %(objectname)"],
            capture_output=True, text=True, check=True, env={**os.environ, **GIT_ENV},
        ).stdout  # fmt: skip
        return dict(line.split() for line in listed.splitlines())

    def state(self) -> object:
        """All that a refused push must leave as it was."""
        return self.refs(), self.releases, self.environments, self.page().body

    def start(self, *words: str) -> Running:
        return Running(self.folder, *words)


def works_on(server: Shared, site: str, folder: Path, secret: str) -> None:
    """On a server that took another's place, whose site was `one` as r1: the next push and a rollback to that r1 work,
    and its books are in order.
    """
    project = Project(folder, server)
    project.git("remote", "add", "managed", server.address(site, "maya", secret))
    project.git("pull", "-q", "managed", "main")
    project.commit("three", index_html="three")
    assert project.push("main").ok and server.get(site).text == "three"
    assert project.push("HEAD:rollback/r1").ok and server.get(site).text == "one"
    assert server.facts("events", "verify")["broken"] is None and server.facts("fsck")["problems"] == []


class Copy(Project):
    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self.server = server


class Running:
    """A git command under way."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._said = folder.with_name(f"{folder.name}.{next(_numbers)}.out")
        with open(self._said, "wb") as out:
            self.process = subprocess.Popen(
                ["git", *words], cwd=folder, env={**os.environ, **GIT_ENV}, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def out(self) -> str:
        return self._said.read_text(errors="replace")

    def says(self, text: str) -> None:
        eventually(lambda: text in self.out, why=f"{text!r} was not said")

    def end(self) -> Pushed:
        code = self.process.wait(timeout=120)
        return Pushed(code, self.out)

    def kill(self) -> None:
        """The whole of git's client, as Ctrl-C on its terminal does, only harder."""
        os.killpg(self.process.pid, 9)
        self.process.wait()


class Hold:
    """Builds that ask this door before they go on: `arrived(name)` waits until one has, `free(name)` lets it go."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._here: set[str] = set()
        self._free: set[str] = set()
        hold = self

        class Door(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                hold._wait(self.path.strip("/"))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def command(self, name: str) -> str:
        """The shell words of a build that waits here."""
        return f"curl -sS --max-time 60 http://127.0.0.1:{self._server.server_port}/{name}"

    def settings(self, name: str, page: str = "") -> str:
        """A gitdeploy.toml whose build waits here and then publishes `page`."""
        return (
            f"[build]\ncommand = '''{self.command(name)} && mkdir -p out && echo {page or name} > out/index.html'''\n"
            'output = "out"\n'
        )

    def arrived(self, name: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: name in self._here, 30), f"the build {name} did not begin"

    def began(self, name: str) -> bool:
        with self._changed:
            return name in self._here

    def free(self, name: str) -> None:
        with self._changed:
            self._free.add(name)
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._free.update(self._here)
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def _wait(self, name: str) -> None:
        with self._changed:
            self._here.add(name)
            self._changed.notify_all()
            self._changed.wait_for(lambda: name in self._free, 60)


def processes_with(text: str) -> list[int]:
    """The processes whose command line holds `text`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if text.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found
