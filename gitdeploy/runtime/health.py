"""Is a started release well? One try at a time: over its socket, as a visitor, or by a command of its own."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gitdeploy.domain.app import Check
from gitdeploy.runtime.edge.sockets import UnixConnection

_MOST_READ = 1 << 20  # bytes of an answer in which `contains` is looked for
Run = Callable[[str, float], int | None]
"""Runs a line in the slot's environment for at most so many seconds: its exit code, None when it was killed."""


@dataclass(frozen=True)
class Tried:
    """`said` is what was found: `GET / 200`, or `GET / answered 500, not 200`."""

    ok: bool
    said: str


def attempt(check: Check, web: Path, run: Run, *, within: float) -> Tried:
    """One try that takes no longer than `within` seconds. `web` is the slot's socket."""
    if check.command:
        return _command(check.command, run(check.command, within), within)
    if not check.path:
        return _connection(web, within)
    try:
        return _answer(check, web, within)
    except TimeoutError:
        return Tried(False, f"GET {check.path} got no answer within {within:.3g} s")
    except (OSError, http.client.HTTPException) as error:
        return Tried(False, f"GET {check.path} got no answer: {_reason(error)}")


def _answer(check: Check, web: Path, within: float) -> Tried:
    asked = f"GET {check.path}"
    connection = UnixConnection(web)
    try:
        connection.connect()
        connection.sock.settimeout(within)
        headers = {"Host": check.host, "User-Agent": "gitdeploy-health", "Connection": "close"}
        connection.request("GET", check.path, headers=headers)
        answer = connection.getresponse()
        if answer.status not in check.expect:
            wanted = " or ".join(map(str, check.expect))
            return Tried(False, f"{asked} answered {answer.status}, not {wanted}")
        if check.contains and check.contains.encode() not in answer.read(_MOST_READ):
            return Tried(False, f"{asked} answered {answer.status} without {check.contains!r} in it")
        return Tried(True, f"{asked} {answer.status}")
    finally:
        connection.close()


def _connection(web: Path, within: float) -> Tried:
    """The slot's socket takes everyone; it hangs up on those for whom no copy of the app was found."""
    connection = UnixConnection(web)
    try:
        connection.connect()
        connection.sock.settimeout(min(within, 0.2))
        gone = connection.sock.recv(1, socket.MSG_PEEK) == b""
    except TimeoutError:
        return Tried(True, "accepts connections")  # it waits for a request
    except OSError as error:
        return Tried(False, f"it accepts no connection: {_reason(error)}")
    finally:
        connection.close()
    return Tried(not gone, "it accepts no connection" if gone else "accepts connections")


def _command(line: str, code: int | None, within: float) -> Tried:
    if code is None:
        return Tried(False, f"the command {line!r} did not end within {within:.3g} s")
    return Tried(code == 0, f"the command {line!r} ended with exit code {code}")


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
