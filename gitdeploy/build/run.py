"""Run one command of a build to its end, whatever that end is, and leave nothing of it alive."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any, Protocol

from gitdeploy import marks, process
from gitdeploy.cgroup import Group
from gitdeploy.process import Command

MARK = "GITDEPLOY_BUILD_ID"
_TICK = 0.1
_CHUNK = 64 * 1024


class Cancel(Protocol):
    """A threading.Event is one."""

    def is_set(self) -> bool: ...


@dataclass(frozen=True)
class Outcome:
    """`reason` is `exit` (with its `code`) or what stopped it: canceled, timeout, memory, what a watch said.

    `clean` is false when something of it may still be alive: then nothing it wrote can be trusted.
    """

    code: int
    reason: str
    clean: bool = True


@dataclass(frozen=True)
class Bounds:
    """`deadline` on the monotonic clock; `watch` is asked now and then and names a reason to stop, or ""."""

    deadline: float
    cancel: Cancel
    watch: Callable[[], str] = field(default=lambda: "")


@dataclass(frozen=True)
class InfoPipe:
    """Where bubblewrap says which process is the first inside; `run` closes the writing end on our side."""

    reading: IO[bytes]
    writing: IO[bytes]


def run(
    command: Command,
    stdin: bytes,
    output: Callable[[bytes], None],
    bounds: Bounds,
    *,
    group: Group | None = None,
    info: InfoPipe | None = None,
    mark: str = "",
) -> Outcome:
    """Blocks; the process dies with the calling thread. The writing end of `info` is bubblewrap's --info-fd.

    `mark` is the value of the variable MARK that the command's processes carry, to find them by where there
    is neither a control group nor a process namespace.
    """
    with _memory_file(stdin) as told:
        running = process.start(
            command,
            stdin=told,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            own_session=True,
            pass_fds=(info.writing.fileno(),) if info else (),
        )
    first = None
    try:
        first = _first_of_namespace(info)
        reason = _attend(running, output, bounds, group)
    finally:
        clean = _end(running, first, group, mark)
        if first is not None:
            os.close(first)
        assert running.stdout is not None
        _drain(running.stdout, output)
    if reason == "exit" and group is not None and group.memory_kills():
        reason = "memory"
    return Outcome(running.returncode, reason, clean)


def _attend(
    running: subprocess.Popen[Any], output: Callable[[bytes], None], bounds: Bounds, group: Group | None
) -> str:
    """Pass the output on until the process ends or must end; says why."""
    assert running.stdout is not None
    pipe = running.stdout.fileno()
    os.set_blocking(pipe, False)
    ended = os.pidfd_open(running.pid)
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    poll.register(ended, select.POLLIN)
    due = 0.0
    try:
        while True:
            ready = dict(poll.poll(_TICK * 1000))
            if ended in ready:
                return "exit"
            if pipe in ready:
                chunk = _read(pipe)
                output(chunk)
                if not chunk:
                    poll.unregister(pipe)
            if time.monotonic() >= due:
                due = time.monotonic() + _TICK
                if reason := _must_end(bounds, group):
                    return reason
    finally:
        os.close(ended)


def _must_end(bounds: Bounds, group: Group | None) -> str:
    if bounds.cancel.is_set():
        return "canceled"
    if time.monotonic() > bounds.deadline:
        return "timeout"
    if group is not None and group.memory_kills():
        return "memory"
    return bounds.watch()


def _end(running: subprocess.Popen[Any], first: int | None, group: Group | None, mark: str) -> bool:
    """Kill what is left and wait until it is gone; true when that is certain."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.pid, signal.SIGKILL)
    clean = True
    if first is not None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(first, signal.SIGKILL)
        # The first process of a namespace is gone only after all others of it (pid_namespaces(7)).
        clean = bool(select.select([first], [], [], 10)[0])
    running.wait()
    if group is not None:
        clean = group.kill() and clean
    elif first is None:
        clean = (not mark or marks.end(lambda: marks.carrying(MARK, mark))) and clean
    return clean


def _first_of_namespace(info: InfoPipe | None) -> int | None:
    """A pidfd of the process that bubblewrap names on the pipe; None where it names none."""
    if info is None:
        return None
    info.writing.close()
    told = info.reading.read()
    try:
        return os.pidfd_open(json.loads(told)["child-pid"])
    except (ValueError, KeyError, ProcessLookupError):
        return None


def _drain(pipe: IO[bytes], output: Callable[[bytes], None]) -> None:
    """What was written before the end. Nothing that lives can keep the pipe from ending here."""
    with pipe:
        while chunk := _read(pipe.fileno()):
            output(chunk)


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _CHUNK)
    except BlockingIOError:
        return b""


@contextlib.contextmanager
def _memory_file(data: bytes) -> Iterator[IO[bytes]]:
    with open(os.memfd_create("environment"), "r+b") as file:
        file.write(data)
        file.flush()
        file.seek(0)
        yield file
