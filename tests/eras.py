"""A site whose app is `era_app.py`, and visitors who never stop coming."""

from __future__ import annotations

import http.client
import itertools
import os
import re
import secrets
import subprocess
import threading
import time
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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
        self,
        server: Server,
        folder: Path,
        database: str,
        *,
        patient: bool = False,
        health: str = "20s",
        slow: float = 0,
    ) -> None:
        self.server = server
        self.site = f"eras-{secrets.token_hex(4)}"
        server.cli("site", "create", self.site)
        self.project = Project(folder / "project", server)
        self.project.git("remote", "add", "managed", server.remote(self.site, "maya", "maintainer"))
        self.project.write("app.py", APP.read_text())
        self.project.write("gitdeploy.toml", SETTINGS.format(database=database, health=health))
        if slow:
            self.project.write("slow", str(slow))
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

    @property
    def operator(self) -> str:
        """The site's address for who may restore production."""
        return self.server.remote(self.site, "olga", "operator")

    @property
    def admin(self) -> str:
        """The URL of who may do anything in PostgreSQL."""
        settings = tomllib.loads((self.server.home / "server.toml").read_text())
        return settings["databases"]["postgres"]

    def databases(self) -> list[str]:
        """What there is in PostgreSQL for the site, by name; those of production first."""
        name = self.site.replace("-", "_")
        line = f"SELECT datname FROM pg_database WHERE datname LIKE 'gd_{name}%' ORDER BY 1"
        words = ["psql", self.admin, "-AtqX", "-c", line]
        found = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
        return sorted(found, key=lambda one: "_production_" not in one)

    def snapshots(self) -> list[dict[str, Any]]:
        return self.server.facts("snapshot", "list", self.site)

    def replaced(self) -> list[dict[str, Any]]:
        """The last looks at what was replaced in production, newest first."""
        found = [one for one in self.snapshots() if one["env"] == "production"]
        return [one for one in found if one["cause"].startswith("replaced by")]


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
    """The longest wait in the pauses that were told of, in none of which anybody was dropped."""
    found = re.findall(r"paused for [0-9.]+ s: ([0-9]+) requests dropped, visitors waited ([0-9.]+) s", said)
    assert found and all(dropped == "0" for dropped, _ in found), said
    return max(float(seconds) for _, seconds in found)


class Bench:
    """pgbench, which writes into the site's database from outside: again and again, and at once when it is cut off."""

    COUNTED = re.compile(r"number of transactions actually processed: ([0-9]+)")

    def __init__(self, admin: str, database: str, *, scale: int = 1) -> None:
        self._url = urlsplit(admin)._replace(path=f"/{database}").geturl()
        # As the role of the app, or the app could not read what is made here.
        self._env = {**os.environ, "PGOPTIONS": f"-c role={database.partition('__')[0]}"}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._again)
        self.acknowledged = self.done = 0
        self.cut_off: list[float] = []
        self.failed: list[str] = []
        self._run("-i", "-q", "-s", str(scale))

    def __enter__(self) -> Bench:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _again(self) -> None:
        """Each run is short: it tells at its end how much was acknowledged."""
        lost = 0.0
        while not self._over.is_set():
            done = self._run("-n", "-c", "4", "-R", "200", "-T", "1", check=False)
            counted = self.COUNTED.search(done.stdout)
            self.acknowledged += int(counted[1]) if counted else 0
            if done.returncode == 0:
                self.done += 1
                if lost:
                    self.cut_off.append(time.monotonic() - 1 - lost)
                lost = 0.0
                continue
            lost = lost or time.monotonic()
            if not any(one in done.stderr for one in CUT_OFF):
                self.failed.append(done.stderr[-500:])

    def _run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["pgbench", *words, self._url], env=self._env, check=check, capture_output=True, text=True
        )


CUT_OFF = (
    "terminating connection due to administrator command",
    "is not currently accepting connections",
    "server closed the connection unexpectedly",
    "does not exist",
)
"""What whoever is connected hears while a database is exchanged: come again."""


def transactions(url: str) -> int:
    """How many pgbench has made there; fails when one of them is torn."""
    line = (
        "SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers), "
        "(SELECT sum(bbalance) FROM pgbench_branches), (SELECT coalesce(sum(delta), 0) FROM pgbench_history), "
        "(SELECT count(*) FROM pgbench_history)"
    )
    said = subprocess.run(
        ["psql", url, "-AtqX", "-c", line], check=True, capture_output=True, text=True
    ).stdout
    *parts, count = map(int, said.split("|"))
    assert len(set(parts)) == 1, said
    return count
