"""A site whose app is `era_app.py`, and visitors who never stop coming."""

from __future__ import annotations

import http.client
import itertools
import re
import secrets
import threading
import time
from pathlib import Path
from typing import Any

from support import Project, Server

APP = Path(__file__).with_name("era_app.py")
SETTINGS = """[processes]
web = {{ command = "exec python3 app.py", stop_timeout = "5s" }}
worker = {{ command = "exec python3 app.py work", stop_timeout = "5s" }}
release = "python3 app.py migrate"
[health]
path = "/up"
timeout = "{health}"
[data]
databases = ["{database}"]
files = ["files"]
"""


class Eras:
    """The site is live, in the era `first` and the version `one`."""

    def __init__(
        self, server: Server, folder: Path, database: str, *, patient: bool = False, health: str = "20s"
    ):
        self.server = server
        self.site = f"eras-{secrets.token_hex(4)}"
        server.cli("site", "create", self.site)
        self.project = Project(folder / "project", server)
        self.project.git("remote", "add", "managed", server.remote(self.site, "maya", "maintainer"))
        self.project.write("app.py", APP.read_text())
        self.project.write("gitdeploy.toml", SETTINGS.format(database=database, health=health))
        if patient:
            self.project.write("patient", "")
        self.push("one")

    def push(self, version: str) -> None:
        self.project.commit(version, version=version)
        pushed = self.project.push("main")
        assert pushed.ok, pushed.out

    def post(self, path: str) -> None:
        page = self.server.fetch(
            self.server.edge, path, method="POST", data=b"", Host=f"{self.site}.localhost"
        )
        assert (page.status, page.text) == (200, "kept"), page.text

    def page(self, path: str = "/", label: str = "") -> str:
        page = self.server.get(f"{label}--{self.site}" if label else self.site, path)
        assert page.status == 200, page.text
        return page.text

    def take(self) -> str:
        self.server.cli("snapshot", "take", self.site)
        return self.snapshots()[0]["snapshot"]

    def restore(self, name: str, *words: str) -> str:
        return self.server.cli("snapshot", "restore", self.site, name, "--yes", *words).stderr

    def snapshots(self) -> list[dict[str, Any]]:
        return self.server.facts("snapshot", "list", self.site)

    def replaced(self) -> list[dict[str, Any]]:
        """The last looks at what was replaced, newest first."""
        return [one for one in self.snapshots() if one["cause"].startswith("replaced by")]


class Visitors:
    """Three who read and two who write, each on a connection of its own every time, until the block ends."""

    def __init__(self, eras: Eras) -> None:
        self._eras = eras
        self._over = threading.Event()
        self._numbers = itertools.count(1)
        self.seen: list[list[str]] = [[], [], []]
        self.kept: list[str] = []
        self.failed: list[str] = []
        self.longest = 0.0
        self._threads = [
            *(threading.Thread(target=self._again, args=(self._read, one)) for one in self.seen),
            *(threading.Thread(target=self._again, args=(self._write, self.kept)) for _ in range(2)),
        ]

    def __enter__(self) -> Visitors:
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for one in self._threads:
            one.join()

    def saw(self) -> list[str]:
        """What readers saw, each answer once for as long as it was the same; they all saw the same."""
        stories = [[said for said, _ in itertools.groupby(one)] for one in self.seen]
        longest = max(stories, key=len)
        assert all(one == longest[: len(one)] for one in stories), stories
        return longest

    def _again(self, act, told: list[str]) -> None:
        while not self._over.wait(0.02):
            begin = time.monotonic()
            try:
                act(told)
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.failed.append(repr(error)[:300])
            self.longest = max(self.longest, time.monotonic() - begin)

    def _read(self, told: list[str]) -> None:
        told.append(self._eras.page())

    def _write(self, told: list[str]) -> None:
        name = f"w{next(self._numbers)}-{secrets.token_hex(3)}"
        self._eras.post(f"/write/{name}")
        told.append(name)


def waited(said: str) -> float:
    """What a restore told of its pause."""
    found = re.search(r"paused for [0-9.]+ s: 0 requests dropped, visitors waited ([0-9.]+) s", said)
    assert found, said
    return float(found[1])
