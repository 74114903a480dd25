"""The keeper of one slot: `python -m gitdeploy.runtime.apps.keeper <folder of the slot>`, its order on stdin.

It belongs to nobody: whoever started it may go. It says "ready" and then only writes into its log. The order
(`Order`) holds secrets; it is in no file and no argument, so a keeper that is gone can only be followed by one
that is given it again. The one that follows takes over the programs that still run.

It ends when it is told to drain, by SIGTERM, and when the folder of its slot is taken away.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gitdeploy import cgroup
from gitdeploy.domain.app import DATA, WEB
from gitdeploy.domain.mask import Masker
from gitdeploy.errors import Busy, GitdeployError, Invalid
from gitdeploy.runtime.apps.confine import Sight, why_not
from gitdeploy.runtime.apps.control import Talk, listen
from gitdeploy.runtime.apps.copies import Copy
from gitdeploy.runtime.apps.family import end_strangers
from gitdeploy.runtime.apps.holding import Holding
from gitdeploy.runtime.apps.jobs import Jobs
from gitdeploy.runtime.apps.launch import Ground, app_user
from gitdeploy.runtime.apps.logs import Capture, Log
from gitdeploy.runtime.apps.order import Order
from gitdeploy.runtime.apps.place import Files
from gitdeploy.runtime.apps.record import CopyRecord, Record
from gitdeploy.runtime.apps.relay import Relay
from gitdeploy.runtime.edge.running import Running, born
from gitdeploy.store import durable

_TICK = 5.0
_HERE = Path()


def main() -> None:
    os.chdir(sys.argv[1])
    try:
        order = Order.from_json(json.load(sys.stdin))
    except ValueError:
        sys.exit("the starter ended before it gave its order")
    if order.is_unit:
        cgroup.step_aside()
    with durable.exclusive(Files(_HERE).lock, busy="the slot is run by another process"):
        asyncio.run(Keeper(order).run())


class Keeper:
    def __init__(self, order: Order) -> None:
        self._order = order
        self._files = Files(_HERE)
        self._key = self._files.key
        self._relay = Relay()
        self._holding = Holding(self._relay, self._rest, self._wake, self._note)
        self._copies: dict[str, Copy] = {}
        self._started = time.time()
        self._me = Running("keeper", os.getpid(), born(os.getpid()) or "")
        self._over = asyncio.Event()
        self._scaling = asyncio.Lock()
        self._state = "running"
        self._patience = 0.0
        user = app_user()
        own = Path.cwd() / self._files.own
        spec = order.spec
        layout, data = Path(order.layout), spec.environment.get(DATA)
        sight = Sight(Path(order.home), layout, own, Path(data) if data else None)
        self._ground = Ground(layout, own, user, spec.environment, None if why_not(user) else sight)
        self._counts = spec.counts
        self._jobs = Jobs(self._ground, self._key, self._capture, self._note)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._over.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: None)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self._make_own()
        before = Record.read(self._files.record)
        known = {one.name: one for one in before.copies} if before else {}
        self._record([*known.values()]).write(self._files.record)  # a slot that cannot be told of is not run
        await self._set_counts(known)
        end_strangers(self._key, [copy.record for copy in self._copies.values()])
        if self._order.spec.has_web:
            self._relay.listen(self._files.web)
        server = listen(self._files.control, self._answer)
        _say_ready(Path(self._order.logs) / "keeper.log")
        await self._until_over()
        await self._drain()
        server.close()
        self._state = "retired"
        self._note()
        self._files.clean()

    def _make_own(self) -> None:
        self._files.out.mkdir(mode=0o700, exist_ok=True)
        for folder in (self._ground.own, self._ground.own / "home", self._ground.own / "tmp"):
            folder.mkdir(mode=0o700, exist_ok=True)
            if self._ground.user is not None:
                os.chown(folder, self._ground.user.uid, self._ground.user.gid, follow_symlinks=False)

    async def _until_over(self) -> None:
        while not self._over.is_set() and self._files.record.exists():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), _TICK)

    async def _set_counts(self, before: Mapping[str, CopyRecord]) -> None:
        """Have as many copies as `_counts` says; those there are too many of end as in a drain."""
        wanted = {
            f"{name}.{number}": self._order.spec.programs[name]
            for name, count in self._counts.items()
            for number in range(1, count + 1)
        }
        for name, program in wanted.items():
            if name not in self._copies:
                self._copies[name] = Copy(
                    name, program, self._ground, self._key, self._capture(name), self._note, before.get(name)
                )
        self._relay.backends = [self._copies[name] for name in wanted if _is_web(name)]
        self._relay.changed()
        self._note()
        await asyncio.gather(*(self._end(name) for name in [*self._copies] if name not in wanted))

    async def _end(self, name: str) -> None:
        copy = self._copies[name]
        if _is_web(name):
            await self._relay.idle(copy, copy.program.stop_timeout)
        await copy.stop()
        self._copies.pop(name, None)
        self._note()

    async def _rest(self) -> None:
        """End all but `web`, until `_wake`; meanwhile nobody changes how many there are."""
        await self._scaling.acquire()
        await asyncio.gather(*(self._end(name) for name in [*self._copies] if not _is_web(name)))

    async def _wake(self, again: bool) -> None:
        try:
            if again and self._state == "running":
                await self._set_counts({})
        finally:
            self._scaling.release()

    async def _drain(self) -> None:
        self._state = "draining"
        self._note()
        await self._holding.end()
        await self._relay.close(self._files.web)
        await asyncio.gather(*(self._end(name) for name in [*self._copies]))
        await self._jobs.end(self._patience)

    async def _answer(self, asked: Mapping[str, Any], handed: Sequence[int], talk: Talk) -> dict[str, Any]:
        if asked["do"] == "drain":
            self._patience = asked["patience"]
            self._over.set()
        elif asked["do"] == "count":
            return {"answers": self._relay.answers, "errors": self._relay.errors}
        elif asked["do"] == "scale":
            unknown = set(asked["counts"]) - set(self._counts)
            if unknown:
                raise Invalid(f"The app has no program {min(unknown)}.", f"It has: {', '.join(self._counts)}")
            self._counts |= asked["counts"]
            async with self._scaling:
                await self._set_counts({})
        elif asked["do"] in ("run", "console") and self._holding.rests:
            raise Busy("The data of the app is being exchanged.", "Try again in a moment.", again=5)
        elif asked["do"] == "run":
            return {"code": await self._jobs.run(asked["name"], asked["line"], asked["within"])}
        elif asked["do"] == "console":
            self._jobs.open_console(asked["name"], asked["line"], asked["variables"], *map(os.dup, handed))
            return {"opened": True}
        elif asked["do"] == "hold":
            return await self._holding.begin(asked, lambda: self._jobs.names, talk)
        elif asked["do"] == "resume":
            self._holding.resume(handed)
        elif asked["do"] == "take":
            self._relay.take(socket.socket(fileno=os.dup(handed[0])))
        return {}

    def _capture(self, name: str) -> Capture:
        log = Log(Path(self._order.logs) / f"{name}.log")
        spec = self._order.spec
        masker = Masker(spec.environment[name] for name in spec.secrets)
        return Capture(self._files.out / name, log, self._order.slot, self._ground.user, masker)

    def _note(self) -> None:
        """A full disk or a slot that was taken away must not end what is being served."""
        self._relay.changed()
        with contextlib.suppress(OSError):
            self._record([copy.record for copy in self._copies.values()]).write(self._files.record)

    def _record(self, copies: Sequence[CopyRecord]) -> Record:
        return Record(
            self._state, self._me, self._started, self._order.layout, tuple(copies), self._jobs.names,
            self._holding.is_on,
        )  # fmt: skip


def _is_web(name: str) -> bool:
    return name.rpartition(".")[0] == WEB


def _say_ready(log: Path) -> None:
    """Tell the starter, and let go of it: from here on only the log is written to."""
    fd = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(fd)


if __name__ == "__main__":
    try:
        main()
    except (GitdeployError, OSError) as error:
        sys.exit(str(error))
