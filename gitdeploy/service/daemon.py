"""The server that runs in a home, seen from outside: who it is, how it is stopped and started, whether it answers."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitdeploy.errors import Busy, Failed
from gitdeploy.process import Command, check, run, start
from gitdeploy.store import durable
from gitdeploy.store.home import Home

UNIT = "gitdeploy"
_SUPERVISED = 3.0
"""Seconds in which a supervisor starts a server again that it has lost."""


@dataclass(frozen=True)
class Daemon:
    """`words` are those after the program's name. `unit` when systemd runs it; `log` a file that it writes to."""

    pid: int
    uid: int
    words: tuple[str, ...]
    unit: bool = False
    log: str = ""

    def stop(self) -> None:
        """Ask it to; it finishes what is under way."""
        if self.unit:
            check(Command(("systemctl", "stop", UNIT)), timeout=120)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def start(self, home: Home, python: Path) -> Callable[[], bool]:
        """Unless a supervisor does, with the words that it was last started with. Returns what says whether it has
        ended again, as far as can be known.
        """
        if self.unit:
            run(Command(("systemctl", "reset-failed", UNIT)))
            check(Command(("systemctl", "start", UNIT)), timeout=120)
            return lambda: _restarts() > 1
        until = time.monotonic() + _SUPERVISED
        while time.monotonic() < until:
            if runs(home):
                return lambda: False
            time.sleep(0.05)
        with open(self.log or os.devnull, "ab") as log:
            child = start(
                Command((*as_user(self.uid), str(python), "-m", "gitdeploy", *self.words), cwd=Path("/")),
                stdout=log, stderr=log, own_session=True,
            )  # fmt: skip
        return lambda: child.poll() is not None


def find(home: Home) -> Daemon | None:
    """Who answers at the home's socket; None where nobody does."""
    with _connected(home) as door:
        if door is None:
            return None
        pid, uid, _ = struct.unpack("3i", door.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
        log = Path(f"/proc/{pid}/fd/2").readlink()
    except FileNotFoundError:
        return None
    after = next((at for at, one in enumerate(words) if one.rpartition("/")[2] == "gitdeploy"), -1)
    if after < 0:
        raise Failed(f"The server {pid} was not started as gitdeploy.", "Restart it: gitdeploy serve")
    told = str(log) if log.is_file() else ""
    return Daemon(pid, uid, tuple(words[after + 1 :]), unit=_main_pid() == pid, log=told)


def runs(home: Home) -> bool:
    lock = home.run / "daemon.lock"
    try:
        with durable.exclusive(lock, busy="") if lock.exists() else contextlib.nullcontext():
            return False
    except Busy:
        return True


@contextlib.contextmanager
def none(home: Home, seconds: float) -> Iterator[None]:
    """No server runs in the home while the block does. Raises Busy when one does after so many seconds."""
    until = time.monotonic() + seconds
    with contextlib.ExitStack() as stack:
        while True:
            try:
                held = durable.exclusive(home.run / "daemon.lock", busy="The server does not stop.")
                stack.enter_context(held)
                break
            except Busy:
                if time.monotonic() > until:
                    raise
                time.sleep(0.005)
        yield


def version(home: Home) -> str:
    """What the server that runs calls itself; "" while none answers."""
    found = ask(home, "/openapi.json")
    return str(found["info"]["version"]) if found else ""


def problems(home: Home) -> set[str]:
    """What its doctor calls a problem, by name."""
    found = ask(home, "/v1/doctor")
    return {one["name"] for one in found or [] if one["level"] == "problem"}


def ask(home: Home, path: str) -> Any:
    """The JSON at an address of its API; None while it does not answer."""
    with _connected(home) as door:
        if door is None:
            return None
        connection = http.client.HTTPConnection("localhost", timeout=60)
        connection.sock = door
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return json.loads(answer.read()) if answer.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError):
            return None


def as_user(uid: int) -> tuple[str, ...]:
    """What has root run a program as this user."""
    if os.geteuid() != 0 or uid == 0:
        return ()
    return ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--init-groups", "--")


# Private


@contextlib.contextmanager
def _connected(home: Home) -> Iterator[socket.socket | None]:
    with socket.socket(socket.AF_UNIX) as door:
        door.settimeout(60)
        try:
            door.connect(str(home.run / "api.sock"))
        except OSError:
            yield None
            return
        yield door


def _main_pid() -> int:
    if not Path("/run/systemd/system").is_dir():
        return 0
    return _shown("MainPID")


def _restarts() -> int:
    return _shown("NRestarts")


def _shown(what: str) -> int:
    said = run(Command(("systemctl", "show", "--value", f"--property={what}", UNIT)))
    return int(said.text or 0) if said.code == 0 else 0
