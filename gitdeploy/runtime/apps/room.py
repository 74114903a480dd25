"""Where visitors of a slot wait while what it answers from is exchanged, in the order in which they came.

Who waits holds a descriptor, and nothing of what they ask has been read. They leave by being answered by this slot, or
by being handed to the keeper of another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import resource
import socket
import time
from collections import deque

from gitdeploy.runtime.apps.own_answer import tell
from gitdeploy.runtime.apps.splice import is_gone

_MOST = 4000
"""How many wait here; who comes then waits in the queue of the socket."""
_SHARE = 3
"""One in so many descriptors may be held by those who wait: each takes a second one when it is answered."""
_PAUSE = 0.01
_PAGE = "exchange"


class Room:
    """`visitors` counts those who waited, `turned_away` those who were told to come again, `longest` is in seconds."""

    def __init__(self) -> None:
        self.is_holding = True
        self.visitors = 0
        self.turned_away = 0
        self.longest = 0.0
        self._waiting: deque[tuple[socket.socket, float]] = deque()
        self._most = min(_MOST, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // _SHARE)
        self._is_shut = False
        self._came = asyncio.Event()
        self._empty = asyncio.Event()
        self._telling: set[asyncio.Task[None]] = set()

    @property
    def is_full(self) -> bool:
        return len(self._waiting) >= self._most

    def enter(self, visitor: socket.socket) -> None:
        if self._is_shut:
            self._turn_away(visitor)
            return
        self.visitors += 1
        self._waiting.append((visitor, time.monotonic()))
        self._came.set()

    def shut(self) -> None:
        """Tell those who wait and those who come to come again later."""
        self._is_shut = True
        while (visitor := self.next()) is not None:
            self.visitors -= 1
            self._turn_away(visitor)

    def open(self) -> None:
        """Nobody is held any more: from here on `next` is asked for them."""
        self.is_holding = self._is_shut = False

    def next(self) -> socket.socket | None:
        """The first of those who wait and are still there."""
        while self._waiting:
            visitor, since = self._waiting.popleft()
            self.longest = max(self.longest, time.monotonic() - since)
            if not is_gone(visitor):
                return visitor
            visitor.close()
        self._empty.set()
        return None

    async def pass_on(self, channel: socket.socket) -> None:
        """Hand over those who wait and all who come, for as long as this is not canceled. Who cannot be handed over is
        hung up on: an edge then asks where it leads by now.
        """
        with channel:
            while True:
                while (visitor := self.next()) is not None:
                    with visitor, contextlib.suppress(OSError):
                        await _hand_over(channel, visitor)
                self._came.clear()
                await self._came.wait()

    async def emptied(self) -> None:
        await self._empty.wait()

    def _turn_away(self, visitor: socket.socket) -> None:
        self.turned_away += 1
        task = asyncio.get_running_loop().create_task(tell(visitor, _PAGE))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)


def taken(channel: socket.socket) -> socket.socket | None:
    """One whom another keeper hands over; raises BlockingIOError when there is none now. None: it has closed."""
    said, handed, _, _ = socket.recv_fds(channel, 1, 1, socket.MSG_CMSG_CLOEXEC)
    if not said or not handed:
        return None
    return socket.socket(fileno=handed[0])


async def _hand_over(channel: socket.socket, visitor: socket.socket) -> None:
    while True:
        try:
            socket.send_fds(channel, [b"."], [visitor.fileno()])
            return
        except OSError as error:  # it has to take some of those that it was handed before
            if error.errno not in (errno.EAGAIN, errno.ETOOMANYREFS):
                raise
            await asyncio.sleep(_PAUSE)
