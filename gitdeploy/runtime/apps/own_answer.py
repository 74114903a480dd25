"""What a keeper answers itself, where no copy of the app does. What is asked is not read."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket

_CHUNK = 64 * 1024
_LINGER = 5.0
"""Seconds to finish asking, for those who are told."""


async def tell(visitor: socket.socket, name: str) -> None:
    """Answer with the page `name` of the edge, and close."""
    loop = asyncio.get_running_loop()
    with visitor, contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_LINGER):
            await loop.sock_sendall(visitor, _answer(name))
            visitor.shutdown(socket.SHUT_WR)
            while await loop.sock_recv(
                visitor, _CHUNK
            ):  # what is closed before it has sent everything hears nothing
                pass


@functools.cache
def _answer(name: str) -> bytes:
    from gitdeploy.runtime.edge import pages  # costs 2 MB, and few slots are ever asked for it

    body = pages.page(name)
    lines = (
        "HTTP/1.1 503 Service Unavailable", "Content-Type: text/html; charset=utf-8", f"Content-Length: {len(body)}",
        "Cache-Control: no-store", f"Retry-After: {pages.RETRY_AFTER}", "Connection: close", "", "",
    )  # fmt: skip
    return "\r\n".join(lines).encode() + body
