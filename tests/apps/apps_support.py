"""Slots with real programs in them, and visitors that come over the slot's socket as the edge does."""

from __future__ import annotations

import http.client
import itertools
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from gitdeploy.domain.app import AppSpec, Check, Program
from gitdeploy.runtime.apps.place import App, Files
from gitdeploy.runtime.edge.sockets import UnixConnection
from gitdeploy.store.home import Home

SAMPLE = Path(__file__).with_name("sample.py")
WEB = "exec /usr/bin/python3 -S app.py"
_numbers = itertools.count(1)


@dataclass
class Slots:
    """A home whose slots are started by `driver`, the way of running apps that is being tested."""

    home: Home
    driver: ModuleType
    started: list[App] = field(default_factory=list)

    def layout(self, files: Mapping[str, str] | None = None) -> Path:
        folder = self.home.root / "layouts" / str(next(_numbers))
        folder.mkdir(parents=True)
        shutil.copy(SAMPLE, folder / "app.py")
        for name, text in (files or {}).items():
            (folder / name).write_text(text)
        return folder

    def start(
        self,
        web: str | Program | None = WEB,
        *,
        env: Mapping[str, str] | None = None,
        slot: str = "",
        layout: Path | None = None,
        **more: str | Program,
    ) -> App:
        named = {**({"web": web} if web else {}), **more}
        programs = {name: one if isinstance(one, Program) else Program(one) for name, one in named.items()}
        spec = AppSpec(programs, dict(env or {}))
        slot = slot or f"r{next(_numbers)}"
        app = App(self.home, "blog", "production", slot)
        self.driver.start(app, spec, layout or self.layout())
        self.started.append(app)
        return app

    def healthy(self, *words: str | Program, **options: object) -> App:
        app = self.start(*words, **options)  # type: ignore[arg-type]
        self.driver.wait_healthy(app, Check())
        return app

    def pids(self, app: App, program: str = "") -> list[int]:
        copies = self.driver.status(app).copies
        return [one.pid for one in copies if one.pid and (not program or one.program == program)]

    def ports(self, app: App) -> list[int]:
        """What the sample app calls itself by: the number of a process means something else to itself."""
        return [one.port for one in self.driver.status(app).copies if one.port]

    def programs(self, app: App) -> list[int]:
        """The processes that a person's command became, not what stands around them."""
        return [inside(pid) for pid in self.pids(app)]

    def log(self, app: App, name: str = "web.1") -> str:
        return "\n".join(self.driver.tail(app, name))


def get(app: App, path: str = "/", *, timeout: float = 20) -> tuple[int, str]:
    connection = UnixConnection(Files(app.folder).web)
    connection.connect()
    connection.sock.settimeout(timeout)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def dial(app: App) -> socket.socket:
    connection = UnixConnection(Files(app.folder).web)
    connection.connect()
    connection.sock.settimeout(20)
    return connection.sock


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """A zombie whose parent has not looked yet does not count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def inside(pid: int) -> int:
    """The first process that bubblewrap started; the process itself when it is not bubblewrap."""
    while Path(f"/proc/{pid}/comm").read_text() == "bwrap\n":
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        pid = int(children[0])
    return pid


def keeper_of(app: App) -> int:
    import json

    return int(json.loads(Files(app.folder).record.read_text())["keeper"]["pid"])


__all__ = ["SAMPLE", "WEB", "Slots", "alive", "dial", "get", "http", "keeper_of", "os", "sys", "until"]
