"""What is known of a slot from outside, and what its keeper can be asked."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gitdeploy import errors
from gitdeploy.errors import Busy, NotFound
from gitdeploy.runtime.apps import reading
from gitdeploy.runtime.apps.place import App, Files
from gitdeploy.runtime.apps.record import CopyRecord, Record
from gitdeploy.runtime.edge.sockets import connected

_LONGEST_RELEASE = 120.0
"""Seconds that all who wait may take to be let in."""


@dataclass(frozen=True)
class Status:
    """state: running draining retired, or lost: its keeper was killed, `start` takes over what still runs. `jobs`
    are the names of what is being run once.
    """

    state: str
    copies: tuple[CopyRecord, ...] = ()
    jobs: tuple[str, ...] = ()

    @property
    def is_well(self) -> bool:
        return self.state == "running" and all(one.state == "running" for one in self.copies)


def status(app: App) -> Status:
    """Raises NotFound when nothing was ever started there."""
    record = Record.read(Files(app.folder).record)
    if record is None:
        raise NotFound(f"{app.site} {app.env} runs no app as {app.slot}.")
    if record.state != "retired" and not record.keeper.alive:
        return Status("lost", record.copies)
    return Status(record.state, record.copies, record.jobs)


def alive(app: App) -> Record | None:
    record = Record.read(Files(app.folder).record)
    return record if record and record.keeper.alive else None


def run(app: App, line: str, *, name: str, within: float) -> int | None:
    """Run a shell line once in the slot's environment; its exit code, None when it was killed after `within`.

    What it says is in the log of `name` (see `tail`); a name may be used by one at a time, else Busy.
    """
    code = ask(app, {"do": "run", "line": line, "name": name, "within": within}, within=within + 30)["code"]
    return None if code is None else int(code)


def console(
    app: App, line: str, *, name: str, variables: Mapping[str, str], terminal: int, user: int
) -> None:
    """Open a shell line on `terminal` in the slot's environment, with `variables` added; returns when it is under way.
    How it ended is said to `user`, a connected socket, whose end ends it (see `console.py`). Both are handed on.
    """
    asked = {"do": "console", "line": line, "name": name, "variables": dict(variables)}
    if not ask(app, asked, within=10, handed=(terminal, user)):
        raise Busy(
            f"{app.slot} of {app.site} {app.env} was started by an older gitdeploy, which had no consoles.",
            f"Start it anew: gitdeploy redeploy {app.site}",
        )


def count(app: App) -> tuple[int, int]:
    """How many answers the app has given since it was started, and how many of them had a status of 500 or more."""
    found = ask(app, {"do": "count"}, within=10)
    return int(found["answers"]), int(found["errors"])


def tail(app: App, name: str, count: int = 100) -> list[str]:
    """The last lines of a copy's log (`web.1`), or that of a `run`, with time and slot; all slots' together."""
    return reading.tail(app.logs / f"{name}.log", count)


def said(app: App, name: str, count: int = 100) -> list[str]:
    """What the program itself said last in this slot, without time and slot."""
    return reading.said(tail(app, name, count), app.slot)


@dataclass(frozen=True)
class Waited:
    """How many visitors waited, the longest of them for so many seconds; and how many were told to come again."""

    visitors: int
    longest: float
    turned_away: int


class Hold:
    """Visitors of a slot wait. `open` requests are still under way, and `jobs` still being run."""

    def __init__(self, app: App, door: socket.socket, said: Mapping[str, Any]) -> None:
        self._app = app
        self._door = door
        self.open = int(said["open"])
        self.jobs: tuple[str, ...] = tuple(said["jobs"])

    def release(self, to: App | None = None) -> Waited:
        """Let them in; with `to` it is another slot that answers them, and all who still come this way. To be called
        once. Raises Busy when the keeper has gone meanwhile.
        """
        with self._door, contextlib.ExitStack() as opened:
            handed = [opened.enter_context(_way_to(to)).fileno()] if to is not None else []
            asked = {"to": "here" if to is None else "there"}
            said = _talk(self._app, self._door, asked, within=_LONGEST_RELEASE, handed=handed)
        return Waited(int(said["visitors"]), float(said["longest"]), int(said["turned_away"]))


def hold(app: App, *, within: float, patience: float, rests: bool, turns_away: bool) -> Hold:
    """Have visitors wait from now on, until `release` or until this process ends; `holding.py` says what the rest
    means. Raises Busy when the slot does not run or was started by a gitdeploy that could not do this.
    """
    door = _dialed(app)
    try:
        asked = {
            "do": "hold", "within": within, "patience": patience, "rests": rests, "turns_away": turns_away
        }  # fmt: skip
        said = _talk(app, door, asked, within=3600 if rests else patience + 30)
        if "open" not in said:
            raise Busy(f"{app.slot} of {app.site} {app.env} was started by an older gitdeploy.")
        return Hold(app, door, said)
    except BaseException:
        door.close()
        raise


def holds(app: App) -> bool:
    """Whether visitors of a slot wait."""
    record = alive(app)
    return record is not None and record.holds


def resume(app: App, to: App | None) -> None:
    """Release those who are still held by one who died, to another slot or to their own."""
    with contextlib.ExitStack() as opened:
        handed = [opened.enter_context(_way_to(to)).fileno()] if to is not None else []
        ask(app, {"do": "resume"}, within=10, handed=handed)


def _way_to(app: App) -> socket.socket:
    """One end of a channel, whose other end the keeper of `app` takes visitors from. A keeper that has gone leaves it
    without another end: who is handed over is hung up on.
    """
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its, contextlib.suppress(Busy):
        ask(app, {"do": "take"}, within=10, handed=(its.fileno(),))
    return mine


def ask(app: App, asked: Mapping[str, Any], *, within: float, handed: Sequence[int] = ()) -> dict[str, Any]:
    """`handed` are descriptors that the keeper gets its own copies of. Raises Busy when it does not answer."""
    with _dialed(app) as door:
        return _talk(app, door, asked, within=within, handed=handed)


def _dialed(app: App) -> socket.socket:
    try:
        return connected(Files(app.folder).control)
    except OSError as error:
        raise _silent(app, error) from error


def _talk(
    app: App, door: socket.socket, asked: Mapping[str, Any], *, within: float, handed: Sequence[int] = ()
) -> dict[str, Any]:
    try:
        door.settimeout(within)
        line = json.dumps(asked).encode() + b"\n"
        sent = socket.send_fds(door, [line], handed)
        if sent < len(line):  # nothing more is said to one that has heard all, and may have answered and gone
            door.sendall(line[sent:])
        line = _line(door)
    except OSError as error:
        raise _silent(app, error) from error
    if not line:
        raise Busy(f"{app.slot} of {app.site} {app.env} ended before it answered.", again=2)
    said: dict[str, Any] = json.loads(line)
    if "error" in said:
        told = said["error"]
        raise errors.BY_CODE[told["code"]](told["message"], told["hint"])
    return said


def _silent(app: App, error: OSError) -> Busy:
    return Busy(
        f"{app.slot} of {app.site} {app.env} does not answer: {error.strerror or error}.",
        "Its keeper has ended, or is about to.",
        again=2,
    )


def _line(door: socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\n") and (part := door.recv(1 << 16)):
        data += part
    return data
