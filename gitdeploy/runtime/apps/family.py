"""Every process of a copy, however it forks: by control group where there is one, and by a mark."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from gitdeploy import bubblewrap, cgroup, marks
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
        """By the mark also where there is a group: one that was started just now has yet to join it."""
        return (self.group.pids() if self.group else set()) or marks.carrying(MARK, self.mark)

    def terminate(self) -> None:
        """SIGTERM to the programs, not to bubblewrap around them: they would not be heard of again.

        While there is nothing in it yet, there is nothing to finish, and nothing that would hear it.
        """
        inside = {pid for pid in self.pids() if not bubblewrap.surrounds(pid)}
        if inside:
            marks.send(inside, signal.SIGTERM)
        else:
            marks.end(self.pids, within=1.0)

    async def kill(self, *, within: float = 10.0) -> bool:
        """Kill all of them; true when nothing is left alive."""
        until = time.monotonic() + within
        while self.pids():
            marks.send(self.pids(), signal.SIGKILL)
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
    ours = {f"{key}/{one.name}" for one in known}

    def strangers() -> set[int]:
        marked = {pid for pid, found in marks.beginning(MARK, f"{key}/").items() if not ours & found}
        return marked.union(*(group.pids() for group in groups))

    if not marks.end(strangers):
        return False
    for group in groups:
        group.remove()
    return True
