"""A build on another machine: the recipe, the tree and the secrets go there over SSH, log and output come back.

Nothing is said in an argument list. Whatever ends the connection ends the build there.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from gitdeploy import process
from gitdeploy.build import parcel, wire
from gitdeploy.build.builder import MOST_DISK, Canceled
from gitdeploy.build.run import Cancel
from gitdeploy.build.transcript import MOST as LONGEST_LOG
from gitdeploy.build.transcript import Transcript
from gitdeploy.build.wire import Gone, Wire
from gitdeploy.domain.builder import Address
from gitdeploy.domain.recipe import Recipe
from gitdeploy.errors import BY_CODE, Failed, GitdeployError
from gitdeploy.process import Command

_SLACK = 256 * 1024  # of a log, so that what the builder cut off is not cut off once more
_TAIL = 64 * 1024  # bytes
_LATE = 120.0  # seconds after the time limit, which is the builder's to keep
_BRINGING = 3600.0  # seconds for the output to come
_LAST_WORDS = 3.0  # seconds for ssh to end
_HANG_UP = 30.0  # seconds for the builder to end what it does


class Away(Failed):
    """A builder that cannot be reached, does not build as it should, or went away. `began`: in the middle of it."""

    def __init__(self, message: str, hint: str = "", *, began: bool = False) -> None:
        super().__init__(message, hint)
        self.began = began


@dataclass(frozen=True)
class Reach:
    """How a builder is logged in to: with the server's own key, and the host keys that it has seen."""

    address: Address
    key: Path
    hosts: Path

    def command(self, patience: int) -> Command:
        """`patience`: seconds to connect in."""
        options = (
            *("BatchMode=yes", "IdentitiesOnly=yes", "IdentityAgent=none", "ClearAllForwardings=yes"),
            *("PreferredAuthentications=publickey", "StrictHostKeyChecking=accept-new", "LogLevel=ERROR"),
            *(f"UserKnownHostsFile={self.hosts}", "GlobalKnownHostsFile=/dev/null"),
            *(f"ConnectTimeout={patience}", "ServerAliveInterval=5", "ServerAliveCountMax=3"),
        )
        said = [word for option in options for word in ("-o", option)]
        to = (
            "-i",
            str(self.key),
            "-p",
            str(self.address.port),
            "-l",
            self.address.user,
            "--",
            self.address.host,
        )
        return Command(("ssh", "-F", "none", "-T", *said, *to, "gitdeploy", "build-for"))


def ask(reach: Reach, patience: int = 10) -> Mapping[str, Any]:
    """What a builder says of itself: its `version`, `builder` id, and `why_not` it is not isolated. Raises Away."""
    deadline = time.monotonic() + 3 * patience

    def waits() -> None:
        if time.monotonic() > deadline:
            raise Gone("it does not answer")

    with _connected(reach, patience, waits) as line:
        line.send(wire.ASK)
        return _said(line, wire.ANSWER)


def build(
    reach: Reach, site: str, builder: str, recipe: Recipe, tree: Path, into: Path,
    log: Callable[[bytes], None], cancel: Cancel, variables: Mapping[str, str], secrets: Mapping[str, str],
) -> None:  # fmt: skip
    """Run the recipe on a copy of `tree` there, and write what is to be published into the new folder `into`.

    `site` names the cache, `builder` the id that the builder has to have. Raises what a build raises (Failed,
    Canceled), and Away. By then nothing of the build is left there, or it is about to end.
    """

    deadline = float("inf")

    def waits() -> None:
        if cancel.is_set():
            raise Canceled("The build was canceled.")
        if time.monotonic() > deadline:
            raise Gone("it takes longer than it may")

    job = {
        "site": site, "builder": builder, "recipe": asdict(recipe),
        "variables": _declared(recipe, variables), "secrets": _declared(recipe, secrets),
    }  # fmt: skip
    transcript = Transcript(log, secrets.values(), most=LONGEST_LOG + _SLACK)
    with _connected(reach, 10, waits) as line:
        try:
            line.send_json(wire.JOB, job)
            wire.send_files(line, parcel.tree(tree))
            deadline = time.monotonic() + recipe.timeout + _LATE
            while (frame := line.receive())[0] == wire.LOG:
                transcript.feed(frame[1])
            if frame[0] == wire.REFUSED:
                raise _refusal(frame[1])
            deadline = time.monotonic() + _BRINGING
            parcel.receive(line, frame, into, MOST_DISK)
        finally:
            transcript.close()


@contextlib.contextmanager
def _connected(reach: Reach, patience: int, waits: Callable[[], None]) -> Iterator[Wire]:
    child = process.start(
        reach.command(patience), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        own_session=True,
    )  # fmt: skip
    assert child.stdin is not None and child.stdout is not None and child.stderr is not None
    errors = _Errors(child.stderr)
    line, answered = Wire(child.stdout.fileno(), child.stdin.fileno(), waits), False
    try:
        with line.beating():
            line.greeted()
            answered = True
            yield line
    except Gone as error:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_LAST_WORDS)  # it says why by how it ends
        child.kill()
        child.wait()
        raise _away(errors.last() or str(error), child.returncode, answered) from None
    except GitdeployError:
        # Hung up on, it ends what it does and then itself.
        child.stdin.close()
        _await_end(line)
        raise
    finally:
        child.kill()
        child.wait()
        errors.last()
        with contextlib.suppress(OSError):
            child.stdin.close()
        child.stdout.close()


class _Errors:
    """What ssh says on its standard error, read to the end; only the last of it is kept."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._tail = b""
        self._thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._thread.start()

    def last(self) -> str:
        """The last line, once ssh has ended."""
        self._thread.join()
        lines = [one.strip() for one in self._tail.decode(errors="replace").splitlines() if one.strip()]
        return _line(lines[-1])[:300] if lines else ""

    def _read(self, pipe: IO[bytes]) -> None:
        with pipe:
            while data := os.read(pipe.fileno(), _TAIL):
                self._tail = (self._tail + data)[-_TAIL:]


def _await_end(line: Wire) -> None:
    deadline = time.monotonic() + _HANG_UP

    def waits() -> None:
        if time.monotonic() > deadline:
            raise Gone("it does not end")

    line.waits = waits
    with contextlib.suppress(Gone):
        line.drain()


def _away(said: str, code: int, answered: bool) -> Away:
    if answered:
        return Away(f"It went away: {said.rstrip('.')}.", began=True)
    if code == 127 or "not found" in said:
        return Away(
            "gitdeploy is not installed there, or not found by its SSH logins.",
            "Install it there, or write its full path into the line in authorized_keys.",
        )
    return Away(f"It cannot be reached: {said.rstrip('.')}.")


def _said(line: Wire, expected: bytes) -> Mapping[str, Any]:
    kind, payload = line.receive()
    if kind == wire.REFUSED:
        raise _refusal(payload)
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        found = None
    if kind != expected or not isinstance(found, dict):
        raise Gone("it sent what no builder sends")
    return found


def _refusal(payload: bytes) -> GitdeployError:
    """What was refused there, in the words of there; `unfit` is said by a builder that does not build at all."""
    try:
        said = json.loads(payload)
        code, message, hint = (_line(said[name]) for name in ("code", "message", "hint"))
    except (ValueError, LookupError, TypeError, RecursionError):
        raise Gone("it sent what no builder sends") from None
    if code == "unfit":
        return Away(message, hint)
    if code == "canceled":
        return Canceled(message, hint)
    return BY_CODE.get(code, Failed)(message, hint)


def _line(text: object) -> str:
    return "".join(one if one.isprintable() else " " for one in str(text))[:1000]


def _declared(recipe: Recipe, values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name in recipe.env}
