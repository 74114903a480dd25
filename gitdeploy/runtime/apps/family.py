"""Every process of a copy, however it forks: by control group where there is one, else by a mark.

The mark is a variable of its environment, inherited by whatever it starts; a process could only lose it by
clearing its environment and leaving its session, and only where no control group can be made.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from gitdeploy import cgroup
from gitdeploy.cgroup import Group
from gitdeploy.runtime.apps.record import CopyRecord

MARK = "GITDEPLOY_COPY"
GROUPS = "gitdeploy-app"
_PAUSE = 0.01


@dataclass(frozen=True)
class Family:
    """`mark` is unique on the machine: `<key of the slot>/web.1`."""

    mark: str
    group: Group | None

    def pids(self) -> set[int]:
        return self.group.pids() if self.group else _marked(f"{MARK}={self.mark}".encode())

    def signal(self, number: int) -> None:
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    async def kill(self, *, within: float = 10.0) -> bool:
        """Kill all of them; true when nothing is left alive."""
        until = time.monotonic() + within
        while self.pids():
            self.signal(signal.SIGKILL)
            if time.monotonic() > until:
                return False
            await asyncio.sleep(_PAUSE)
        return True

    def remove(self) -> None:
        if self.group:
            self.group.remove()

    def memory_kills(self) -> int:
        return self.group.memory_kills() if self.group else 0


def end_strangers(key: str, known: Collection[CopyRecord]) -> bool:
    """Kill what runs in the slot `key` and belongs to no copy of `known`; true when nothing of it is left."""
    folders = {Path(folder) for one in known for folder in one.groups}
    found = cgroup.named(f"{GROUPS}-{key}-", beside=True)
    groups = [group for _, group in found if folders.isdisjoint(group.folders)]
    ours = {f"{MARK}={key}/{one.name}".encode() for one in known}
    until = time.monotonic() + 10
    while left := {pid for pid, marks in _marks(f"{MARK}={key}/".encode()) if not ours & marks}.union(
        *(group.pids() for group in groups)
    ):
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > until:
            return False
        time.sleep(_PAUSE)
    for group in groups:
        group.remove()
    return True


def _marked(wanted: bytes) -> set[int]:
    return {pid for pid, marks in _marks(wanted) if wanted in marks}


def _marks(begin: bytes) -> Iterator[tuple[int, set[bytes]]]:
    """Each process with variables that begin so, and these."""
    for entry in os.listdir("/proc"):  # noqa: PTH208
        if entry.isdigit():
            found = {one for one in _environment(entry) if one.startswith(begin)}
            if found:
                yield int(entry), found


def _environment(pid: str) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []
