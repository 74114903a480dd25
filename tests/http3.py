"""One request over HTTP/3."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import QuicEvent


def get(address: str, host: str, path: str, trust: Path) -> tuple[int, bytes]:
    """Status and body of `https://host/path`, asked for at port 443 of `address`."""
    return asyncio.run(_get(address, host, path, trust))


async def _get(address: str, host: str, path: str, trust: Path) -> tuple[int, bytes]:
    settings = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name=host)
    settings.load_verify_locations(str(trust))
    async with connect(address, 443, configuration=settings, create_protocol=_Visitor) as visitor:
        assert isinstance(visitor, _Visitor)
        return await asyncio.wait_for(visitor.ask(host, path), 20)


class _Visitor(QuicConnectionProtocol):
    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._http = H3Connection(self._quic)
        self._status, self._body = 0, b""
        self._ended = asyncio.Event()

    async def ask(self, host: str, path: str) -> tuple[int, bytes]:
        said = {":method": "GET", ":scheme": "https", ":authority": host, ":path": path}
        stream = self._quic.get_next_available_stream_id()
        headers = [(name.encode(), value.encode()) for name, value in said.items()]
        self._http.send_headers(stream, headers, end_stream=True)
        self.transmit()
        await self._ended.wait()
        return self._status, self._body

    def quic_event_received(self, event: QuicEvent) -> None:
        for one in self._http.handle_event(event):
            if isinstance(one, HeadersReceived):
                self._status = int(dict(one.headers)[b":status"])
            elif isinstance(one, DataReceived):
                self._body += one.data
            if isinstance(one, HeadersReceived | DataReceived) and one.stream_ended:
                self._ended.set()
