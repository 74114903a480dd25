"""Every process of a copy, however it forks: by control group where there is one, else by a mark."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Collection
from dataclasses import dataclass

from gitdeploy import cgroup, marks
from gitdeploy.cgroup import Group

MARK = "GITDEPLOY_COPY"
GROUPS = "gitdeploy-app"
_PAUSE = 0.01


@dataclass(frozen=True)
class Family:
    """`mark` is unique on the machine: `<key of the slot>/web.1`."""

    mark: str
    group: Group | None

    def pids(self) -> set[int]:
        return self.group.pids() if self.group else marks.carrying(MARK, self.mark)

    def signal(self, number: int) -> None:
        marks.send(self.pids(), number)

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


def end_strangers(key: str, known: Collection[str]) -> bool:
    """Kill what runs in the slot `key` under other names than `known`; true when nothing of it is left."""
    groups = [
        group
        for name, group in cgroup.named(f"{GROUPS}-{key}-")
        if name.removeprefix(f"{GROUPS}-{key}-") not in known
    ]
    ours = {f"{key}/{name}" for name in known}

    def strangers() -> set[int]:
        marked = {pid for pid, found in marks.beginning(MARK, f"{key}/").items() if not ours & found}
        return marked.union(*(group.pids() for group in groups))

    if not marks.end(strangers):
        return False
    for group in groups:
        group.remove()
    return True
