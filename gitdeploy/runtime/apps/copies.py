"""One copy of a program: started, watched, started again when it ends, and stopped.

It is started again at once, then after longer and longer pauses. One that ended MOST_DEATHS times within WINDOW
seconds has crashed, and is tried once in RETRY seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gitdeploy.cgroup import Group
from gitdeploy.domain.app import WEB, Program
from gitdeploy.errors import Failed
from gitdeploy.runtime.apps import launch, ports
from gitdeploy.runtime.apps.family import GROUPS, MARK, Family
from gitdeploy.runtime.apps.launch import Child, Ground, told_end
from gitdeploy.runtime.apps.logs import Capture
from gitdeploy.runtime.apps.ports import Port
from gitdeploy.runtime.apps.reach import Address, candidates
from gitdeploy.runtime.apps.record import CopyRecord
from gitdeploy.runtime.edge.running import Running

MOST_DEATHS, WINDOW, RETRY = 5, 60.0, 60.0
FIRST_PAUSE, LONGEST_PAUSE, STEADY = 0.1, 10.0, 10.0
"""Seconds. One that lived for STEADY begins with the first pause again."""
_LONGEST_SOCKET = 107


class Copy:
    """`web.1`. `changed` is called whenever what `record` tells has changed."""

    def __init__(
        self,
        name: str,
        program: Program,
        ground: Ground,
        key: str,
        capture: Capture,
        changed: Callable[[], None],
        before: CopyRecord | None = None,
    ) -> None:
        self.name = name
        self.program = program
        self.address: Address | None = None
        self._ground = ground
        self._key = key
        self._capture = capture
        self._changed = changed
        self._is_web = name.rpartition(".")[0] == WEB
        self._port: Port | None = None
        self._process: Running | None = None
        self._child: Child | None = None
        self._state = "starting"
        self._since = 0.0
        self._deaths: list[float] = []
        self._restarts = before.restarts if before else 0
        self._last = before.last if before else ""
        self._failures = 0
        self._stopping = asyncio.Event()
        self._probing: asyncio.Task[None] | None = None
        self._family = Family(f"{key}/{name}", self._group(before))
        if before is not None and before.running.alive:
            self._take_over(before)
        self.task = asyncio.get_running_loop().create_task(self._keep())

    @property
    def record(self) -> CopyRecord:
        process = self._process
        return CopyRecord(
            self.name,
            self._state,
            process.pid if process else 0,
            process.born if process else "",
            self._port.number if self._port else 0,
            self._since,
            self._restarts,
            self._last,
            tuple(map(str, self._family.group.folders if self._family.group else ())),
        )

    def lost(self) -> None:
        """It does not accept after all: look until it does."""
        if self.address is not None:
            self.address = None
            self._look()

    async def stop(self) -> None:
        """SIGTERM to all of it, and SIGKILL to what is left after stop_timeout."""
        if self._stopping.is_set():
            await self.task
            return
        self._stopping.set()
        if self._process is not None:
            self._enter("stopping")
            self._family.terminate()
            if not await self._gone(self.program.stop_timeout):
                self._capture.say(f"{self.name} did not end within {self.program.stop_timeout} s: killed")
                await self._family.kill()
        await self.task
        self._capture.close()

    # Private

    async def _keep(self) -> None:
        if self._process is not None:
            self._capture.say(f"{self.name} is running, and taken over")
            await self._attend()
            self._family.remove()  # it may go at any time, with the unit of the keeper that made it
            self._family = Family(self._family.mark, self._group(None))
        else:
            await self._family.kill()  # what a killed keeper had no time to write down
        while not self._stopping.is_set():
            try:
                self._start()
            except (OSError, Failed) as error:
                await self._note(f"could not be started: {error}", time.monotonic())
                continue
            await self._attend()
        self._enter("ended")
        self._family.remove()

    def _take_over(self, before: CopyRecord) -> None:
        """Go on with what a killed keeper left running."""
        self._process, self._since = before.running, before.since
        self._state = "starting" if self._is_web else "running"
        with contextlib.suppress(OSError):
            self._port = Port(before.port) if before.port else None

    def _start(self) -> None:
        more = {MARK: self._family.mark}
        if self._is_web:
            self._port = ports.claim()
            more["PORT"] = str(self._port.number)
            self._socket.unlink(missing_ok=True)
            if len(bytes(self._socket)) <= _LONGEST_SOCKET:
                more["SOCKET"] = str(self._socket)
        with self._capture.writing() as out:
            self._child = launch.spawn(
                self.program.command, self._ground, self._family.group, self.program.memory, more, out
            )
        self._process = Running.child(self.name, "", self._child)
        self._since = time.time()
        self._enter("starting" if self._is_web else "running")

    async def _attend(self) -> None:
        """Until it has ended, all of it."""
        assert self._process is not None
        begin, killed = time.monotonic(), self._family.memory_kills()
        if self._is_web:
            self._look()
        await launch.ended(self._process)
        if self._probing:
            self._probing.cancel()
        self.address = None
        if self._stopping.is_set():
            await self._gone(self.program.stop_timeout)  # a shell may end before what it started
        await self._family.kill()
        self._capture.drain()
        how = told_end(self._child)
        if self._family.memory_kills() > killed:
            how += ", for want of memory"
        self._process = self._child = None
        if self._port:
            self._port.release()
            self._port = None
        if not self._stopping.is_set():
            await self._note(f"ended {how}", begin)

    async def _note(self, how: str, begin: float) -> None:
        """Remember a death, and pause before it is started again."""
        now = time.monotonic()
        self._deaths = [one for one in self._deaths if now - one < WINDOW] + [now]
        self._failures = 0 if now - begin > STEADY else self._failures + 1
        self._restarts += 1
        self._last = how
        crashed = len(self._deaths) >= MOST_DEATHS
        pause = RETRY if crashed else min(FIRST_PAUSE * 2 ** max(self._failures - 1, 0), LONGEST_PAUSE)
        self._capture.say(f"{self.name} {how}, started again in {pause:g} s")
        self._enter("crashed" if crashed else "waiting")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), pause)

    def _look(self) -> None:
        if self._probing is not None:
            self._probing.cancel()
        self._probing = asyncio.get_running_loop().create_task(self._probe())

    async def _probe(self) -> None:
        """Find out where it listens, as soon as it does."""
        pause = 0.01
        user = self._ground.user
        port = self._port.number if self._port else 0
        while True:
            for address in candidates(port, self._socket, user.uid if user else os.geteuid()):
                with contextlib.suppress(OSError):
                    (await address.connect()).close()
                    self.address = address
                    self._enter("stopping" if self._stopping.is_set() else "running")
                    return
            await asyncio.sleep(pause)
            pause = min(pause * 1.3, 0.25)

    async def _gone(self, within: float) -> bool:
        until = time.monotonic() + within
        pause = 0.005
        while self._family.pids():
            if time.monotonic() > until:
                return False
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.1)
        return True

    def _enter(self, state: str) -> None:
        self._state = state
        self._changed()

    def _group(self, before: CopyRecord | None) -> Group | None:
        memory = self.program.memory
        if before is not None and before.group:
            return replace(before.group, memory=memory > 0)
        return launch.group(f"{GROUPS}-{self._key}-{self.name}", memory)

    @property
    def _socket(self) -> Path:
        return self._ground.own / f"{self.name}.sock"
