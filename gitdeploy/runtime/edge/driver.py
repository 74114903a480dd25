"""Keeps the edge running: its processes belong to nobody, so serving outlives whoever called.

`ensure` may be called at any time and by anyone. What runs as asked is left alone, what died is started
again, and a new version of the embedded edge takes over the listening socket before the old one ends.
A unit that runs the daemon must not end its whole group (systemd: KillMode=process): the edge is in there.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import gitdeploy
from gitdeploy.errors import Failed, Invalid
from gitdeploy.runtime.edge import launch, sockets
from gitdeploy.runtime.edge.running import Record, strays
from gitdeploy.runtime.edge.tls import Tls
from gitdeploy.store import durable
from gitdeploy.store.home import Home

Driver = Literal["auto", "embedded", "caddy"]

GRACE = 12.0
"""Seconds for requests under way when an edge is told to end."""
_NAMES = {"embedded": ("embedded",), "caddy": ("embedded", "caddy")}
"""The processes of a driver. Behind Caddy the embedded edge serves the sites with page rules."""


@dataclass(frozen=True)
class EdgeStatus:
    """`listen` and `tls` are the real addresses, also when port 0 was asked for; "" when nothing runs there."""

    running: bool
    driver: str = ""
    listen: str = ""
    version: str = ""
    pids: tuple[int, ...] = ()
    tls: str = ""


def ensure(home: Home, driver: Driver, listen: str, tls: Tls | None = None) -> EdgeStatus:
    """Have the edge of `home` serve on `listen` (`127.0.0.1:8480`, port 0 for any free one), and say where; with
    `tls` (Caddy only) HTTPS besides.

    Raises Invalid for an address that is none, Busy when another does the same just now, Failed (with the
    last lines of logs/edge.log) when it does not answer in time or somebody else has the port.
    """
    _address(listen)
    kind = _choose(driver)
    asked = f"{listen} {tls}" if tls else listen
    if tls is not None:
        _address(tls.listen)
        if kind != "caddy":
            raise Failed("The embedded edge speaks no TLS.", "Install Caddy (apt install caddy).")
    for folder, mode in ((home.run, 0o700), (home.logs, 0o755), (home.live, 0o755)):
        durable.make_folder(folder, mode=mode)
    with _alone(home):
        record = _record(home)
        if record is None or (record.driver, record.asked) != (kind, asked):
            _end_all(home, record)
            record = Record(kind, "", asked, listen, tls=_settled(tls) if tls else None)
        record = _dismiss(home, record)
        for name in _NAMES[kind]:
            running = record.named(name)
            if running is None or running.runs != launch.what_runs(name, record):
                record = _bring_up(home, record, name)
        if record.version != gitdeploy.__version__:
            record = replace(record, version=gitdeploy.__version__)
            record.write(launch.record_file(home))
        return _status(record)


def status(home: Home) -> EdgeStatus:
    """What runs now; `running` only when every process of it does."""
    record = _record(home)
    return _status(record) if record else EdgeStatus(running=False)


def stop(home: Home) -> None:
    """End the edge of `home`, if one runs. Requests under way are finished."""
    if home.run.is_dir():
        with _alone(home):
            _end_all(home, _record(home))
            durable.remove(launch.record_file(home))


def _record(home: Home) -> Record | None:
    record = Record.read(launch.record_file(home))
    return record if record and record.belongs_to(home.root) else None


def _choose(driver: Driver) -> Literal["embedded", "caddy"]:
    installed = shutil.which("caddy") is not None
    if driver == "caddy" and not installed:
        raise Failed("Caddy is not installed.", "Install it (apt install caddy), or use the embedded edge.")
    return ("caddy" if installed else "embedded") if driver == "auto" else driver


def _bring_up(home: Home, record: Record, name: str) -> Record:
    """Start `name` in place of the one that died, or that runs what is no longer wanted."""
    for stray in strays(home.root, launch.EMBEDDED, record.processes):
        stray.end(within=GRACE)
    if name != record.driver:
        return _dismiss(home, launch.start(home, record, name, None))
    running = record.named(name)
    handed = sockets.take_over(home.run / "edge.hand") if running and name == "embedded" else None
    if running and handed is None:
        running.end(within=GRACE)
    with handed or sockets.claim(*_address(record.listen)) as public:
        record = replace(record, listen=_spoken(record.listen, public))
        if name == "caddy":
            public.close()  # it binds by itself; what was claimed is only known to be free
            return launch.start(home, record, name, None)
        return _dismiss(home, launch.start(home, record, name, public))


def _dismiss(home: Home, record: Record) -> Record:
    """End those that another has followed."""
    if record.leaving:
        for one in record.leaving:
            one.end(within=GRACE)
        record = replace(record, leaving=())
        record.write(launch.record_file(home))
    return record


def _end_all(home: Home, record: Record | None) -> None:
    known = (*record.processes, *record.leaving) if record else ()
    for one in (*reversed(known), *strays(home.root, launch.EMBEDDED, known)):
        one.end(within=GRACE)


def _status(record: Record) -> EdgeStatus:
    running = all(record.named(name) for name in _NAMES.get(record.driver, ("none",)))
    pids = tuple(one.pid for one in record.alive())
    https = record.tls.listen if record.tls else ""
    return EdgeStatus(running, record.driver, record.listen, record.version, pids, https)


def _settled(tls: Tls) -> Tls:
    """With a port that is free, and a secret of its own."""
    with sockets.claim(*_address(tls.listen)) as free:
        return replace(tls, listen=_spoken(tls.listen, free), secret=secrets.token_hex(24))


def _address(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise Invalid(f"{listen!r} is no address to listen on.", "Write HOST:PORT, such as 127.0.0.1:8480.")
    return host.strip("[]"), int(port)


def _spoken(listen: str, public: socket.socket) -> str:
    return f"{listen.rpartition(':')[0]}:{public.getsockname()[1]}"


@contextlib.contextmanager
def _alone(home: Home) -> Iterator[None]:
    with durable.exclusive(
        home.run / "edge.lock", busy="The edge is being started or stopped by another process."
    ):
        yield
