"""uvicorn's connections with what they lack: bounds on a request's head, a polite way to go, and being taken over.

An app may switch protocols (a websocket), and from then on what passes is bytes and no longer HTTP.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass
from typing import ClassVar

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_TOO_LONG = b"The head of the request is too long.\n"
_MOST_UNREAD = 64 * 1024


@dataclass
class Taken:
    """What was answered on a connection that an app took over."""

    status: int = 0
    size: int = 0


class Server(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        BoundedProtocol.leaving = True
        await super().shutdown(sockets)


class BoundedProtocol(HttpToolsProtocol):
    """A request line with its headers has `longest_head` bytes and `head_deadline` seconds to arrive.

    When the server is `leaving`, a connection that waits for a request is not closed in the visitor's face: it
    has `farewell` seconds for one more, whose answer says `Connection: close`.
    """

    longest_head: ClassVar[int] = 64 * 1024
    head_deadline: ClassVar[float] = 20.0
    farewell: ClassVar[float] = 1.0
    leaving: ClassVar[bool] = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._taken = False
        self.taken = Taken()
        self._beyond: bytearray | None = None
        self._news = asyncio.Event()
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.cancel()
        self._news.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A request that asks for another protocol is the last one read: what follows it may not be HTTP."""
        if self._beyond is not None:
            return self._keep(data)
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.cycle.keep_alive = False
            self._beyond = bytearray()
            self._keep(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse()
        else:
            self._arrived += len(data) if self._in_head else 0
            if self._arrived > self.longest_head:
                self._refuse()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"]["connection"] = self
        self._deadline.cancel()
        self._begin_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value) + 4
        super().on_header(name, value)
        if name.lower() == b"transfer-encoding" and value.lower() != b"chunked":
            raise ValueError("a transfer coding that would be lost on the way")

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._deadline.cancel()
        if self._head_bytes + len(self.url) > self.longest_head:
            raise ValueError("too long")
        super().on_headers_complete()
        if self.leaving:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        if self._is_idle():
            self.loop.call_later(self.farewell, self._close_if_idle)
        else:
            super().shutdown()

    # Taken over by an app

    def take_over(self, head: bytes) -> None:
        """Write `head` as it is; from here on the connection is bytes: `read`, `write`, `finish` or `cut`."""
        self._taken = self.cycle.response_started = self.cycle.response_complete = True
        self.taken.status = int(head[9:12])  # HTTP/1.1 101 …
        self.transport.write(head)

    async def read(self) -> bytes:
        """What the visitor sent behind the request, as soon as there is some; b"" when the visitor has gone."""
        while not self._beyond and not self._is_lost():
            self._news.clear()
            await self._news.wait()
        data = bytes(self._beyond or b"")
        self._beyond = bytearray()
        if not self._is_lost():
            self.flow.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        """Waits while the visitor is slow; raises ConnectionResetError when there is none any more."""
        if self._is_lost():
            raise ConnectionResetError
        self.taken.size += len(data)
        self.transport.write(data)
        await self.flow.drain()

    def finish(self) -> None:
        self.transport.close()

    def cut(self) -> None:
        """End it so that what was sent cannot be taken for a whole answer: where no length says so, by a reset."""
        self.cycle.disconnected = True
        door = self.transport.get_extra_info("socket")
        if self._taken and door is not None and door.family != socket.AF_UNIX:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        else:
            self.transport.close()

    # Private

    def _keep(self, data: bytes) -> None:
        assert self._beyond is not None
        self._beyond += data
        self._news.set()
        if len(self._beyond) > _MOST_UNREAD:
            self.flow.pause_reading()

    def _is_lost(self) -> bool:
        return self.parser is None or self.transport.is_closing()

    def _refuse(self) -> None:
        if max(self._arrived, self._head_bytes) <= self.longest_head:
            self.send_400_response("Invalid HTTP request received.")
            return
        length = str(len(_TOO_LONG)).encode()
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
            b"content-length: " + length + b"\r\nconnection: close\r\n\r\n" + _TOO_LONG
        )
        self.transport.close()

    def _close_if_idle(self) -> None:
        if self._is_idle():
            self.transport.close()

    def _is_idle(self) -> bool:
        return not self._taken and (self.cycle is None or self.cycle.response_complete)

    def _begin_head(self) -> None:
        self._in_head, self._arrived, self._head_bytes = True, 0, 0
        self._deadline = self.loop.call_later(self.head_deadline, self.transport.close)
