"""Visitors of a slot are held while what it answers from is exchanged. One connection, two questions:

    {"do": "hold", "within": 20, "patience": 5, "rests": true, "turns_away": true}
        answered {"open": 1, "jobs": ["cron.1"]} once nothing is under way, or after `patience` seconds
    {"to": "here"} or {"to": "there"} with a descriptor
        answered {"visitors": 12, "longest": 0.31, "turned_away": 0} when nobody waits any more

`there` are the copies of another slot: at the other end of the descriptor is its keeper, who was told `take` with
that end. With `rests` all programs but `web` are ended before, nothing is run once meanwhile, and they are started
again if it ends `here`. After `within` seconds those who wait are told to come again, or let in when `turns_away` is
false.

Whoever holds them may die. What becomes of the exchange is then for the next one to say, with `resume` (and a
descriptor or none); if nobody does, they are let in here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from gitdeploy.errors import Busy
from gitdeploy.runtime.apps.control import Talk
from gitdeploy.runtime.apps.relay import Relay
from gitdeploy.runtime.apps.room import Room

ORPHANED = 10.0
"""Seconds that whoever follows a daemon that died has to say where visitors belong."""


class Holding:
    """`rest` ends all programs but `web`; `wake` is called after that, and starts them again when it is given True."""

    def __init__(
        self,
        relay: Relay,
        rest: Callable[[], Awaitable[None]],
        wake: Callable[[bool], Awaitable[None]],
        note: Callable[[], None],
    ) -> None:
        self._relay = relay
        self._rest = rest
        self._wake = wake
        self._note = note
        self._ended: asyncio.Future[socket.socket | None] | None = None
        self._released = asyncio.Event()
        self._is_orphan = False
        self.rests = False

    @property
    def is_on(self) -> bool:
        return self._ended is not None

    async def begin(
        self, asked: Mapping[str, Any], jobs: Callable[[], Sequence[str]], talk: Talk
    ) -> dict[str, Any]:
        """All of it, but for the last answer, which is returned. `jobs()` are being run once."""
        if self._ended is not None:
            raise Busy("The visitors of this slot are held already.", "Wait until that has ended.")
        loop = asyncio.get_running_loop()
        self._ended, self._is_orphan, self.rests = loop.create_future(), False, bool(asked["rests"])
        self._released.clear()
        try:
            if self.rests:
                await self._rest()
            room = Room()
            bound = loop.call_later(asked["within"], room.shut if asked["turns_away"] else self._end)
            under_way = await self._relay.hold(room, asked["patience"])
            self._note()
            with contextlib.suppress(OSError):
                await talk.say({"open": under_way, "jobs": list(jobs())})
            hearing = loop.create_task(talk.hear())
            channel = await self._where(hearing)
            bound.cancel()
            await self._relay.release(channel)
            if self.rests:
                await self._wake(channel is None)
        finally:
            self._ended, self.rests = None, False
            self._released.set()
            self._note()
        await hearing
        return {"visitors": room.visitors, "longest": room.longest, "turned_away": room.turned_away}

    def resume(self, handed: Sequence[int]) -> None:
        """Say where visitors belong in place of one who died; where nobody died nothing is done."""
        if self._is_orphan:
            self._end(_channel(handed))

    async def end(self) -> None:
        """Let them in here, since the slot ends."""
        if self._ended is not None:
            self._end()
            await self._released.wait()

    # Private

    def _end(self, channel: socket.socket | None = None) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(channel)

    async def _where(
        self, hearing: asyncio.Task[tuple[Mapping[str, Any], Sequence[int]] | None]
    ) -> socket.socket | None:
        """Where those who wait belong, by the first who says so."""
        assert self._ended is not None
        either: list[asyncio.Future[Any]] = [hearing, self._ended]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not self._ended.done():
            heard = hearing.result()
            if heard is not None:
                return _channel(heard[1])
            self._is_orphan = True
            await asyncio.wait([self._ended], timeout=ORPHANED)
        return self._ended.result() if self._ended.done() else None


def _channel(handed: Sequence[int]) -> socket.socket | None:
    if not handed:
        return None
    channel = socket.socket(fileno=os.dup(handed[0]))
    channel.setblocking(False)
    return channel
