"""Find processes by a mark, and kill until none is left.

A mark is a variable of a process's environment, inherited by whatever it starts: daemons leave their session,
seldom that. One could only lose it by clearing its environment.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Collection

_PAUSE = 0.005


def carrying(variable: str, value: str) -> set[int]:
    """The processes that have the variable with just this value."""
    return {pid for pid, values in beginning(variable, value).items() if value in values}


def beginning(variable: str, text: str) -> dict[int, set[str]]:
    """The processes that have the variable with a value that begins so, and their values of it."""
    wanted, skip = os.fsencode(f"{variable}={text}"), len(variable) + 1
    found = {
        int(entry): {os.fsdecode(one)[skip:] for one in _environment(entry) if one.startswith(wanted)}
        for entry in os.listdir("/proc")  # noqa: PTH208 - names only
        if entry.isdigit()
    }
    return {pid: values for pid, values in found.items() if values}


def send(pids: Collection[int], number: int) -> None:
    """Those that have ended meanwhile are passed over."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def end(find: Callable[[], Collection[int]], *, within: float = 10.0) -> bool:
    """Kill what `find` finds until it finds nothing and all of it has ended; false when that took longer than `within`
    seconds. One that is ending has neither mark nor group any more, but its files are still open.
    """
    until = time.monotonic() + within
    with contextlib.ExitStack() as held:
        ending: dict[int, int] = {}
        while left := find():
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    if pid not in ending:
                        ending[pid] = os.pidfd_open(pid)
                        held.callback(os.close, ending[pid])
            send(left, signal.SIGKILL)
            if time.monotonic() > until:
                return False
            time.sleep(_PAUSE)
        return all(_has_ended(one, until) for one in ending.values())


def _has_ended(process: int, until: float) -> bool:
    """pidfd_open(2): it can be read from once the process has ended, also while nobody has asked for its exit code."""
    end = select.poll()  # select(2) knows no descriptor above 1,023
    end.register(process, select.POLLIN)
    return bool(end.poll(max(0.0, until - time.monotonic()) * 1000))


def _environment(pid: str) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []
