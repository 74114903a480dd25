"""One request to an app and its answer, on a connection of its own over the slot's unix socket.

The socket is used without a transport on purpose: when an app answers early and closes, writing to it fails,
and a transport would then throw away the answer that lies ready to be read.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httptools

LONGEST_HEAD = 256 * 1024
_CHUNK = 64 * 1024

Headers = list[tuple[bytes, bytes]]


class Unreachable(Exception):
    """Nobody listens, or the app's queue is full: nothing of the request has been sent."""


class NoAnswer(Exception):
    """The app closed the connection, or what it sent is not HTTP."""


@dataclass
class Head:
    """Names are in lower case."""

    status: int = 0
    reason: bytes = b""
    headers: Headers = field(default_factory=list)

    @property
    def is_interim(self) -> bool:
        return 100 <= self.status < 200 and self.status != 101


class Upstream:
    """`path` is relative to the home, as a unix socket's path has at most 107 bytes."""

    def __init__(self, path: str, method: str) -> None:
        """Raises Unreachable. Connecting to a unix socket never has to wait: it is done or refused."""
        self._is_head = method == "HEAD"
        self._parser = httptools.HttpResponseParser(self)
        self._coming = Head()
        self._head: Head | None = None
        self._head_bytes = 0
        self._parts: deque[bytes] = deque()
        self._ended = False
        self.beyond = b""
        self._loop = asyncio.get_running_loop()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        try:
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise Unreachable from error

    async def send(self, data: bytes) -> None:
        """Waits while the app is slow; raises OSError when it reads no more."""
        await self._loop.sock_sendall(self._socket, data)

    async def receive(self) -> bytes:
        """Bytes as they come, for a connection that has changed its protocol; b"" at their end."""
        data, self.beyond = self.beyond, b""
        return data or await self._loop.sock_recv(self._socket, _CHUNK)

    async def head(self) -> Head:
        """Status and headers of the answer itself. Raises NoAnswer."""
        while self._head is None:
            if self._head_bytes > LONGEST_HEAD:
                raise NoAnswer("a head without end")
            self._head_bytes += await self._feed()
        return self._head

    async def body(self) -> AsyncIterator[bytes]:
        """Raises NoAnswer when the app goes before its end."""
        while self._parts or not self._ended:
            while self._parts:
                yield self._parts.popleft()
            if not self._ended:
                await self._feed()

    def hang_up(self) -> None:
        """Whoever waits for the app waits no more, and the app learns that nobody listens."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the app was first

    def close(self) -> None:
        """To be called when nobody waits in `send` or `receive`."""
        self._socket.close()

    async def _feed(self) -> int:
        try:
            data = await self._loop.sock_recv(self._socket, _CHUNK)
        except OSError as error:
            raise NoAnswer(str(error)) from error
        if not data:
            if self._head is None or not self._lasts_until_closed():
                raise NoAnswer("it closed the connection")
            self._ended = True
            return 0
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.beyond = data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            if not self._ended:
                raise NoAnswer(str(error)) from error
        return len(data)

    def _lasts_until_closed(self) -> bool:
        assert self._head is not None
        return not {b"content-length", b"transfer-encoding"} & {name for name, _ in self._head.headers}

    # Called by httptools

    def on_message_begin(self) -> None:
        self._coming = Head()

    def on_status(self, reason: bytes) -> None:
        self._coming.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        self._coming.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._coming.status = self._parser.get_status_code()
        if not self._coming.is_interim and self._head is None:
            self._head = self._coming
            self._ended = self._is_head or self._coming.status in (204, 304)

    def on_body(self, part: bytes) -> None:
        if not self._ended:
            self._parts.append(part)

    def on_message_complete(self) -> None:
        self._ended = self._ended or self._head is self._coming
