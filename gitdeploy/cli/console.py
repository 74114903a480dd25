"""The user's end of a console: their terminal, joined with one that the program on the server has."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import select
import shlex
import signal
import socket
import sys
import termios
import tty
from collections.abc import Iterator
from types import FrameType

import click

from gitdeploy.cli.asking import Settings, env, settings, site
from gitdeploy.cli.client import error_of
from gitdeploy.errors import Failed, Invalid

_CHUNK = 64 * 1024
_LAST = 1.0  # seconds for what a program wrote before it ended


@click.command(context_settings={"ignore_unknown_options": True})
@site
@click.argument("command", nargs=-1, metavar="[-- COMMAND…]", type=click.UNPROCESSED)
@env
@settings
def console(asked: Settings, site: str, command: tuple[str, ...], env: str) -> None:
    """Open COMMAND in this terminal beside what is live on SITE, with its files and configuration; ends as it does.

    Without COMMAND: `console` of [processes] or the Procfile, and /bin/sh where there is none.
    """
    line = command[0] if len(command) == 1 else shlex.join(command)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Invalid(
            "A console needs a terminal, and this is none.",
            f"Use: gitdeploy run {site} -- {line or 'COMMAND'}",
        )
    ours, theirs = pty.openpty()
    _fit(ours)
    wish = {"site": site, "env": env, "command": line, "term": os.environ.get("TERM") or "dumb"}
    try:
        door = asked.client.console(wish, theirs)
    finally:
        os.close(theirs)
    with door, _raw():
        signal.signal(signal.SIGWINCH, lambda *_: _fit(ours))
        answer = _join(ours, door)
    if not answer:
        raise Failed(
            "The console was cut off: what kept it has ended, so nobody knows how it went.",
            f"See what runs: gitdeploy ps {site}",
        )
    said = json.loads(answer)
    if "error" in said:
        raise error_of(said["error"])
    sys.exit(said["code"])


def _join(ours: int, door: socket.socket) -> bytes:
    """Pass on what is typed and what is shown until `door` says how it ended; b"" when it says nothing."""
    typed = b""
    os.set_blocking(ours, False)
    poll = select.poll()
    poll.register(door, select.POLLIN)
    while True:
        poll.register(ours, select.POLLIN | (select.POLLOUT if typed else 0))
        poll.register(0, 0 if typed else select.POLLIN)
        ready = {fd for fd, events in poll.poll() if events}
        if ours in ready:
            typed = typed[_written(ours, typed) :]
            if not _show(ours):
                poll.unregister(ours)
                return _answer(door)
        if door.fileno() in ready:
            answer = _answer(door)
            _show_rest(ours)
            return answer
        if 0 in ready:
            typed = _read(0)
            if not typed:
                sys.exit(128 + signal.SIGHUP)


def _answer(door: socket.socket) -> bytes:
    answer = b""
    while not answer.endswith(b"\n") and (part := door.recv(_CHUNK)):
        answer += part
    return answer


def _written(ours: int, typed: bytes) -> int:
    try:
        return os.write(ours, typed) if typed else 0
    except BlockingIOError:
        return 0


def _show(ours: int) -> bool:
    """False when no program has the terminal any more."""
    try:
        shown = _read(ours)
    except BlockingIOError:
        return True
    said = bool(shown)
    while shown:
        shown = shown[os.write(1, shown) :]
    return said


def _read(terminal: int) -> bytes:
    """b"" when there is nobody at its other end any more. Raises BlockingIOError."""
    try:
        return os.read(terminal, _CHUNK)
    except BlockingIOError:
        raise
    except OSError:
        return b""


def _show_rest(ours: int) -> None:
    while select.select([ours], [], [], _LAST)[0] and _show(ours):
        pass


def _fit(ours: int) -> None:
    """Give the program's terminal the size of the user's: it is told by SIGWINCH."""
    with contextlib.suppress(OSError):
        fcntl.ioctl(ours, termios.TIOCSWINSZ, fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """Every key is the program's. The user's terminal is as it was afterwards, also when we are told to go."""

    def go(number: int, _: FrameType | None) -> None:
        sys.exit(128 + number)

    before = termios.tcgetattr(0)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, go)
    try:
        tty.setraw(0, termios.TCSADRAIN)  # what is typed already is not lost
        yield
    finally:
        with contextlib.suppress(termios.error):  # it is gone
            termios.tcsetattr(0, termios.TCSADRAIN, before)
