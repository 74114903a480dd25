"""Two connections joined: what either side sends is passed on as it comes, and an end of sending as an end.

Nothing is read from one side while the other has not taken what came before, so a slow reader costs 64 KiB.
Sockets and not asyncio's transports: these cost as much again for each connection, and start reading too soon.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable

_CHUNK = 64 * 1024
_LINGER = 5.0


def join(
    visitor: socket.socket, app: socket.socket, over: Callable[[], None], answered: Callable[[bytes], None]
) -> None:
    """Pass on what comes, both sockets being non-blocking; `over` is called when both are closed, `answered` with
    the first bytes that the app sends, b"" when it hangs up without any.
    """
    one, other = _Visitor(visitor, over), _App(app, over, answered)
    one.peer, other.peer = other, one
    one.resume()
    other.resume()


class _Side(ABC):
    peer: _Side

    def __init__(self, door: socket.socket, over: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._door = door
        self._fd = door.fileno()  # what the loop is given: of a socket it would ask the name again and again
        self._over = over
        self._unsent = b""
        self._has_ended = False
        self._is_last = False  # nothing more will be sent to it
        self._is_reading = False
        self.is_closed = False

    def send(self, data: bytes) -> None:
        try:
            sent = self._door.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.refuse()
            return
        if sent < len(data):
            self._unsent = data[sent:]
            self._loop.add_writer(self._fd, self._flush)
            self.peer.pause()

    def finish(self) -> None:
        """Tell it that nothing more will come, once it has taken what did."""
        self._is_last = True
        if not self._unsent:
            with contextlib.suppress(OSError):  # it may be gone already
                self._door.shutdown(socket.SHUT_WR)

    def resume(self) -> None:
        if not (self._is_reading or self._has_ended or self.is_closed):
            self._is_reading = True
            self._loop.add_reader(self._fd, self._take)

    def pause(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self._fd)

    def close(self) -> None:
        if not self.is_closed:
            self.pause()
            if self._unsent:
                self._loop.remove_writer(self._fd)
            self._door.close()
            self.is_closed = True
            if self.peer.is_closed:
                self._over()

    @abstractmethod
    def refuse(self) -> None:
        """It takes nothing more."""

    @abstractmethod
    def break_off(self) -> None:
        """It has gone."""

    def ended(self) -> None:
        """It has sent everything: pass that on."""
        self.peer.finish()
        self._close_if_over()

    def passed(self, data: bytes) -> None:
        self.peer.send(data)

    # Private

    def _take(self) -> None:
        try:
            data = self._door.recv(_CHUNK)
        except BlockingIOError:
            return None
        except OSError:
            return self.break_off()
        if data:
            return self.passed(data)
        self.pause()
        self._has_ended = True
        return self.ended()

    def _flush(self) -> None:
        try:
            self._unsent = self._unsent[self._door.send(self._unsent) :]
        except BlockingIOError:
            return None
        except OSError:
            return self.refuse()
        if self._unsent:
            return None
        self._loop.remove_writer(self._fd)
        if self._is_last:
            self.finish()
            return self._close_if_over()
        return self.peer.resume()

    def _close_if_over(self) -> None:
        if self._has_ended and self.peer._has_ended and not (self._unsent or self.peer._unsent):
            self.close()
            self.peer.close()


class _App(_Side):
    """The side that answers."""

    peer: _Visitor

    def __init__(
        self, door: socket.socket, over: Callable[[], None], answered: Callable[[bytes], None]
    ) -> None:
        super().__init__(door, over)
        self._answered: Callable[[bytes], None] | None = answered

    def passed(self, data: bytes) -> None:
        self._tell(data)
        super().passed(data)

    def ended(self) -> None:
        self._tell(b"")
        super().ended()

    def refuse(self) -> None:
        """The app takes nothing more. What it has answered may still be on the way, and is read to its end."""
        if self._unsent:
            self._unsent = b""
            self._loop.remove_writer(self._fd)
        self.peer.discard()
        self.resume()
        if self._has_ended:
            self.break_off()

    def break_off(self) -> None:
        """The app has gone, perhaps before it read everything: the visitor still gets what it answered."""
        self._tell(b"")
        self.close()
        self.peer.linger()

    def _tell(self, begin: bytes) -> None:
        if self._answered is not None:
            self._answered(begin)
            self._answered = None


class _Visitor(_Side):
    """The side that asks. When it has gone, nobody wants the answer."""

    _discards = False

    def ended(self) -> None:
        if self._discards or is_gone(self._door):
            self.break_off()
        else:
            super().ended()

    def passed(self, data: bytes) -> None:
        if not self._discards:
            super().passed(data)

    def refuse(self) -> None:
        self.break_off()

    def break_off(self) -> None:
        self.close()
        self.peer.close()

    def discard(self) -> None:
        self._discards = True
        self.resume()

    def linger(self) -> None:
        self.discard()
        self.finish()
        if self._has_ended and not self._unsent:
            self.close()
        else:
            self.resume()
            self._loop.call_later(_LINGER, self._give_up)

    def _give_up(self) -> None:
        if not self._unsent:
            self.close()

    def _close_if_over(self) -> None:
        if self._discards and self._has_ended:
            self.close()
        else:
            super()._close_if_over()


def is_gone(door: socket.socket) -> bool:
    """Whether the other end is closed altogether, and has not only finished sending (poll(2), POLLHUP)."""
    poll = select.poll()
    poll.register(door, select.POLLIN)
    return any(events & select.POLLHUP for _, events in poll.poll(0))
