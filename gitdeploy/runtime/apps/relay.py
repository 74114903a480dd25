"""From the slot's `web.sock` to the copies of `web`, in turn. What passes is bytes: uploads, streams, websockets.

A connection is given to a copy that accepts it. While none does (all are starting again) it waits, so a
visitor sees a slow answer and no failed one. Where no copy is wanted the answer is a page that says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import time
from pathlib import Path
from typing import Protocol

from gitdeploy.runtime.apps.reach import Address
from gitdeploy.runtime.apps.splice import join

PATIENCE = 15.0
"""Seconds a connection waits for a copy that accepts it."""
QUIET = 0.5
"""Seconds without a new connection after which nobody is on the way to a slot that was left."""
_MOST_QUIET = 5.0
_BACKLOG = 2048
_AT_ONCE = 64
_PAUSE = 0.01
_CHUNK = 64 * 1024
_LINGER = 5.0
"""Seconds to finish asking, for those who are told that nobody is there."""


class Backend(Protocol):
    """`address` is None while it accepts nothing; `lost` says that it did not accept after all."""

    address: Address | None

    def lost(self) -> None: ...


class Relay:
    def __init__(self) -> None:
        self.backends: list[Backend] = []
        self.answers = 0
        self.errors = 0
        self._listener: socket.socket | None = None
        self._next = 0
        self._changed = asyncio.Event()
        self._open: dict[Backend, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._last = 0.0

    def listen(self, path: Path) -> None:
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

    def changed(self) -> None:
        """A backend has come, or accepts again: those who wait look anew."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def close(self, path: Path) -> None:
        """Accept no more, once those who are on the way have arrived. What is open stays open."""
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

    def _resume(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _accept(self) -> bool:
        """Take those who wait in the queue; true when there may be more of them."""
        assert self._listener is not None
        for _ in range(_AT_ONCE):
            try:
                visitor, _ = self._listener.accept()
            except BlockingIOError:
                return False
            except OSError:  # no descriptor is left: those who wait in the queue are not lost by waiting
                loop = asyncio.get_running_loop()
                loop.remove_reader(self._listener)
                loop.call_later(0.1, self._resume)
                return True
            self._last = time.monotonic()
            task = asyncio.get_running_loop().create_task(self._serve(visitor))
            self._tasks.add(task)
            task.add_done_callback(self._served)
        return True

    def _served(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.changed()

    async def _serve(self, visitor: socket.socket) -> None:
        visitor.setblocking(False)
        if not self.backends:
            await _tell_stopped(visitor)
            return
        found = await self._reach()
        if found is None:
            visitor.close()
            return
        backend, door = found
        join(visitor, door, lambda: self._leave(backend), self._count)

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
        while self.backends:
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


async def _tell_stopped(visitor: socket.socket) -> None:
    """No copy is wanted, so none will come: an answer of our own, the only one. What is asked is not read."""
    loop = asyncio.get_running_loop()
    with visitor, contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_LINGER):
            await loop.sock_sendall(visitor, _stopped())
            visitor.shutdown(socket.SHUT_WR)
            while await loop.sock_recv(
                visitor, _CHUNK
            ):  # what is closed before it has sent everything hears nothing
                pass


@functools.cache
def _stopped() -> bytes:
    from gitdeploy.runtime.edge import pages  # costs 2 MB, and few slots are ever asked for it

    body = pages.page("stopped")
    lines = (
        "HTTP/1.1 503 Service Unavailable", "Content-Type: text/html; charset=utf-8", f"Content-Length: {len(body)}",
        "Cache-Control: no-store", f"Retry-After: {pages.RETRY_AFTER}", "Connection: close", "", "",
    )  # fmt: skip
    return "\r\n".join(lines).encode() + body
