"""A server that dies on order, and everything that has to agree once it runs again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import Project, Server, eventually

LAUNCHER = (sys.executable, str(Path(__file__).with_name("crash_launcher.py")))
SITE = "blog"


class Mortal(Server):
    """`start` runs the launcher. `die_at(n)` makes the n-th durable step from now on the last, `die_at("A then B")` the
    first B after an A. Its addresses stay the same however often it is started.
    """

    def __init__(self, edge_driver: str = "embedded", settings: str = "") -> None:
        super().__init__(edge_driver=edge_driver, settings=settings)
        self.listen, self.edge = free_addresses(2)

    @property
    def repository(self) -> Path:
        return self.home / "repos" / f"{SITE}.git"

    @property
    def daemon(self) -> int:
        return int((self.home.parent / f"{self.home.name}.pid").read_text())

    def start(self, *, command: tuple[str, ...] = LAUNCHER) -> None:
        super().start(command=command)

    def die_at(self, step: int | str) -> None:
        (self.home / "run/steps").unlink(missing_ok=True)
        (self.home / "run/fault").write_text(str(step))
        self._begin = self.log.stat().st_size

    def steps(self) -> list[str]:
        """The durable steps since `die_at`; the last one was not taken when the server died."""
        said = self.home / "run/steps"
        return said.read_text().splitlines() if said.exists() else []

    def died(self) -> bool:
        """Whether the step was reached; waits until the server runs again then."""
        if (self.home / "run/fault").exists():
            (self.home / "run/fault").unlink()
            return False
        self.up_again(self._begin)
        return True

    def up_again(self, begin: int) -> None:
        eventually(lambda: "\nready\n" in "\n" + self.said(begin), seconds=60, why=self.said(begin))

    def kill_daemon(self) -> None:
        """kill -9, and wait until it was started again."""
        begin = self.log.stat().st_size
        os.kill(self.daemon, signal.SIGKILL)
        self.up_again(begin)

    def destroy(self) -> None:
        super().destroy()
        (self.home.parent / f"{self.home.name}.pid").unlink(missing_ok=True)

    def rows(self, sql: str, *values: object) -> list[dict[str, Any]]:
        connection = sqlite3.connect(f"file:{self.home}/ledger.db?mode=ro", uri=True, timeout=10)
        try:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, values)]
        finally:
            connection.close()

    def refs(self) -> dict[str, str]:
        git = Project.__new__(Project)
        git.folder = self.repository
        lines = git.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return dict(line.split(" ") for line in lines)


def mortal(request: pytest.FixtureRequest) -> Mortal:
    """The fixture `server`: it can be made to die. Its addresses stay the same however often it is started. Which edge
    serves it may be said by indirect parametrizing.
    """
    one = Mortal(getattr(request, "param", "embedded"))
    request.addfinalizer(one.destroy)
    one.start()
    return one


def two_releases(server: Mortal, tmp_path: Path) -> Project:
    """The fixture `project`: with two releases of production behind it."""
    server.cli("site", "create", SITE)
    one = Project(tmp_path / "project", server)
    one.git("remote", "add", "managed", server.remote(SITE, "maya", "maintainer"))
    for page in ("one", "two"):
        one.commit(page, index_html=page)
        assert one.push("main").ok
    return one


def passing_releases(server: Mortal, tmp_path: Path) -> Iterator[Project]:
    """The same on a server that others use after it: it runs in the end, and its sites are removed."""
    yield two_releases(server, tmp_path)
    (server.home / "run/fault").unlink(missing_ok=True)
    if server.process is None or server.process.poll() is not None:
        server.start()
    for site in server.facts("site", "list"):
        server.cli("site", "remove", site["name"], "--yes")


def free_addresses(count: int) -> list[str]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [f"127.0.0.1:{one.getsockname()[1]}" for one in held]
    for one in held:
        one.close()
    return found


@dataclass(frozen=True)
class Truth:
    """What production is, as each of those who know it says."""

    main: str
    live_ref: str
    release: int
    commit: str
    pointer: str
    page: str


def truth(server: Mortal) -> Truth:
    refs = server.refs()
    live = server.rows(
        "SELECT * FROM releases WHERE site = ? AND env = 'production' AND state = 'live'", SITE
    )
    assert len(live) == 1, live
    return Truth(
        main=refs["refs/heads/main"],
        live_ref=refs["refs/live/production"],
        release=live[0]["number"],
        commit=live[0]["commit"],
        pointer=(server.home / "sites" / SITE / "production/current").readlink().name,
        page=server.get(SITE).text,
    )


def assert_agreed(server: Mortal, project: Project) -> Truth:
    """All who know what production is say the same."""
    now = truth(server)
    assert now.live_ref == now.commit
    assert now.pointer == f"r{now.release}"
    assert now.page == project.git("show", f"{now.commit}:index.html")
    env = server.rows("SELECT * FROM environments WHERE site = ? AND name = 'production'", SITE)
    assert [one["release"] for one in env] == [now.release]
    return now


def assert_settled(server: Mortal) -> None:
    """Nothing is left half-done, and the books are in order."""
    for left in (
        "pushes",
        "switches WHERE phase IN ('prepared', 'switching')",
        "releases WHERE state = 'pending'",
        "builds WHERE state IN ('queued', 'building')",
    ):
        eventually(lambda: not server.rows(f"SELECT * FROM {left}"), seconds=60, why=left)  # noqa: B023
    eventually(lambda: not [*server.repository.glob("*.lock"), *server.repository.glob("refs/**/*.lock")])
    assert_history(server)
    assert_chain(server)
    assert_permalinks(server)


def assert_permalinks(server: Mortal) -> None:
    """Each of the newest builds of files is shown at an address of its own."""
    for row in server.rows("SELECT * FROM builds WHERE state = 'built' ORDER BY id DESC LIMIT 10"):
        if row["reused_from"] is None and json.loads(row["recipe"])["kind"] != "app":
            host = f"{row['id'].lower().replace('_', '-')}--{row['site']}"
            eventually(lambda: server.get(host).status == 200, why=f"{row['id']} has no permalink")  # noqa: B023


def assert_history(server: Mortal) -> None:
    """Numbers only grow, one release an environment is live, and git knows every one that served."""
    rows = server.rows("SELECT * FROM releases WHERE site = ? ORDER BY rowid", SITE)
    numbers = [row["number"] for row in rows]
    assert numbers == sorted(set(numbers)), numbers
    live = [row["env"] for row in rows if row["state"] == "live"]
    assert len(live) == len(set(live)), live
    refs = server.refs()
    served = [row for row in rows if row["live_at"]]
    for row in served:
        assert refs[f"refs/releases/r{row['number']}"] == row["commit"]
    git = Project.__new__(Project)
    git.folder = server.repository

    def untold() -> list[int]:
        noted = git.git("grep", "-h", "", "refs/notes/deploys") if served else ""
        return [row["number"] for row in served if row["id"] not in noted]

    eventually(lambda: not untold(), why=f"releases without a note: {untold()}")


def assert_chain(server: Mortal) -> None:
    """The audit log, computed again by its own description: sha256 over the canonical JSON of each line."""
    prev = "0" * 64
    for row in server.rows("SELECT * FROM events ORDER BY number"):
        line = {name: value for name, value in row.items() if name != "number"}
        line["data"], line["hash"] = json.loads(row["data"]), ""
        text = json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert row["prev"] == prev
        assert row["hash"] == hashlib.sha256(text.encode()).hexdigest()
        prev = row["hash"]


def processes(server: Server, word: str) -> list[int]:
    """The processes with this word in their command line that this server, or something of it, has started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and word in _line(int(entry.name)) and _belongs(int(entry.name), server.home):
            found.append(int(entry.name))
    return found


def _belongs(pid: int, home: Path) -> bool:
    while pid > 1 and pid != os.getpid():
        if str(home) in _line(pid):
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False


def _line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def kill(pids: list[int]) -> None:
    assert pids
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
