"""The socket that visitors of a slot come to. Whoever was let into its queue is taken."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from pathlib import Path

QUIET = 0.5
"""Seconds without a new connection after which nobody is on the way to a slot that was left."""
_MOST_QUIET = 5.0
_BACKLOG = 2048
_AT_ONCE = 64
_PAUSE = 0.01


class Door:
    """Gives each who comes to `welcome`; while `is_full()` they stay in the queue."""

    def __init__(self, welcome: Callable[[socket.socket], None], is_full: Callable[[], bool]) -> None:
        self._welcome = welcome
        self._is_full = is_full
        self._listener: socket.socket | None = None
        self._last = 0.0

    def open(self, path: Path) -> None:
        """Bound beside its name and renamed: the path never leads to nobody while one keeper follows another."""
        beside = path.with_name(f".{path.name}")
        beside.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(beside))
        beside.chmod(0o600)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        beside.rename(path)
        self._listener = listener
        self._resume()

    async def close(self, path: Path) -> None:
        """Accept no more, once those who are on the way have arrived."""
        if self._listener is None:
            return
        begin = self._last = time.monotonic()
        while (now := time.monotonic()) < min(self._last + QUIET, begin + _MOST_QUIET):
            await asyncio.sleep(min(self._last + QUIET, begin + _MOST_QUIET) - now)
        path.unlink(missing_ok=True)
        # Who found the path before it was taken away is refused from here on, and comes by another way. Those who
        # were let in are taken, also when that has to wait for descriptors: what is closed with a queue loses it.
        self._listener.shutdown(socket.SHUT_RD)
        while self._accept():
            await asyncio.sleep(_PAUSE)
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        self._listener = None

    def _resume(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _accept(self) -> bool:
        """Take those who wait in the queue; true when there may be more of them."""
        assert self._listener is not None
        for _ in range(_AT_ONCE):
            if self._is_full():
                return self._accept_later()
            try:
                visitor, _ = self._listener.accept()
            except BlockingIOError:
                return False
            except OSError:  # no descriptor is left
                return self._accept_later()
            self._last = time.monotonic()
            self._welcome(visitor)
        return True

    def _accept_later(self) -> bool:
        """Those who wait in the queue are not lost by waiting."""
        assert self._listener is not None
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener)
        loop.call_later(0.1, self._resume)
        return True
