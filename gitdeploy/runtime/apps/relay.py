"""From the slot's `web.sock` to the copies of `web`, in turn. What passes is bytes: uploads, streams, websockets.

A connection is given to a copy that accepts it. While none does (all are starting again) it waits, so a
visitor sees a slow answer and no failed one. Where no copy is wanted the answer is a page that says so.

While visitors are held nobody is given to a copy: whoever comes waits in a `Room`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from pathlib import Path
from typing import Protocol

from gitdeploy.runtime.apps.door import Door
from gitdeploy.runtime.apps.own_answer import tell
from gitdeploy.runtime.apps.reach import Address
from gitdeploy.runtime.apps.room import Room, taken
from gitdeploy.runtime.apps.splice import join

PATIENCE = 15.0
"""Seconds a connection waits for a copy that accepts it."""
_STEP = 0.01
"""Seconds that one of those who were held may take to reach a copy before the next is let in: the queue of an app's
socket is short.
"""


class Backend(Protocol):
    """`address` is None while it accepts nothing; `lost` says that it did not accept after all."""

    address: Address | None

    def lost(self) -> None: ...


class Relay:
    def __init__(self) -> None:
        self.backends: list[Backend] = []
        self.answers = 0
        self.errors = 0
        self._door = Door(self._welcome, lambda: self._room is not None and self._room.is_full)
        self._next = 0
        self._changed = asyncio.Event()
        self._open: dict[Backend, int] = {}
        self._lasting = 0
        self._room: Room | None = None
        self._onward: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def listen(self, path: Path) -> None:
        self._door.open(path)

    def changed(self) -> None:
        """A backend has come, or accepts again: those who wait look anew."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def hold(self, room: Room, patience: float) -> int:
        """From now on whoever comes waits in `room`. Returns how many requests are still under way: once there are
        none, or after `patience` seconds. What lasts (websockets, streams of events) is none of them.
        """
        self._room = room
        until = time.monotonic() + patience
        while self._under_way and (left := until - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)
        return self._under_way

    async def release(self, channel: socket.socket | None = None) -> None:
        """Let those who wait in, in the order in which they came; or hand them over, and from then on all who come, to
        the keeper at the other end of `channel`. Returns when nobody waits.
        """
        room = self._room
        assert room is not None
        room.open()
        if channel is not None:
            self._onward = asyncio.get_running_loop().create_task(room.pass_on(channel))
            await room.emptied()
            return
        while (visitor := room.next()) is not None:
            await asyncio.wait({self._begin(visitor)}, timeout=_STEP)
        self._room = None

    def take(self, channel: socket.socket) -> None:
        """Welcome those whom another keeper hands over, until it closes the channel."""
        loop = asyncio.get_running_loop()
        channel.setblocking(False)

        def take() -> None:
            with contextlib.suppress(BlockingIOError):
                while (visitor := taken(channel)) is not None:
                    self._welcome(visitor)
                loop.remove_reader(channel)
                channel.close()

        loop.add_reader(channel, take)

    async def close(self, path: Path) -> None:
        """Accept no more, once those who are on the way have arrived. What is open stays open."""
        await self._door.close(path)
        if self._onward is not None and self._room is not None:
            await self._room.emptied()
            self._onward.cancel()

    async def idle(self, backend: Backend, within: float) -> bool:
        """Wait until nothing is open, or on the way, to `backend`; false when that takes longer."""
        until = time.monotonic() + within
        while self._open.get(backend) or (backend in self.backends and self._tasks):
            left = until - time.monotonic()
            if left <= 0:
                return False
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)
        return True

    def _welcome(self, visitor: socket.socket) -> None:
        visitor.setblocking(False)
        if self._room is not None:
            self._room.enter(visitor)
        else:
            self._begin(visitor)

    def _begin(self, visitor: socket.socket) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._serve(visitor))
        self._tasks.add(task)
        task.add_done_callback(self._served)
        return task

    def _served(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.changed()

    async def _serve(self, visitor: socket.socket) -> None:
        if not self.backends:
            await tell(visitor, "stopped")
            return
        found = await self._reach()
        if found is not None:
            self._join(visitor, *found)
        elif self._room is not None and self._room.is_holding:
            self._room.enter(visitor)
        else:
            visitor.close()

    def _join(self, visitor: socket.socket, backend: Backend, door: socket.socket) -> None:
        lasts = False

        def answered(begin: bytes) -> None:
            nonlocal lasts
            self._count(begin)
            if _lasts(begin):
                lasts = True
                self._lasting += 1
                self.changed()

        def over() -> None:
            self._lasting -= lasts
            self._leave(backend)

        join(visitor, door, over, answered)

    @property
    def _under_way(self) -> int:
        return len(self._tasks) + sum(self._open.values()) - self._lasting

    def _count(self, begin: bytes) -> None:
        """Of an edge that asks once a connection this sees every answer; `HTTP/1.1 503 …` is one that failed, as is
        none at all.
        """
        self.answers += 1
        self.errors += not begin or (begin[:5] == b"HTTP/" and begin[9:10] == b"5")

    def _leave(self, backend: Backend) -> None:
        self._open[backend] -= 1
        if not self._open[backend]:
            del self._open[backend]
        self.changed()

    async def _reach(self) -> tuple[Backend, socket.socket] | None:
        until = time.monotonic() + PATIENCE
        while self.backends and not (self._room is not None and self._room.is_holding):
            changed = self._changed
            for _ in range(len(self.backends)):
                self._next += 1
                backend = self.backends[self._next % len(self.backends)]
                if backend.address is None:
                    continue
                # Counted first: a copy that is being retired waits for those that are on their way to it.
                self._open[backend] = self._open.get(backend, 0) + 1
                try:
                    return backend, await backend.address.connect()
                except OSError:
                    self._leave(backend)
                    backend.lost()
            left = until - time.monotonic()
            if left <= 0:
                return None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), left)
        return None


def _lasts(begin: bytes) -> bool:
    """Whether this is the begin of an answer that is not expected to end."""
    return begin[9:12] == b"101" or b"\ncontent-type: text/event-stream" in begin[:2048].lower()
