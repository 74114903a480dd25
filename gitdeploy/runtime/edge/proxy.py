"""Passes one request on to an app and its answer back, both as they come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from gitdeploy.runtime.edge import forward
from gitdeploy.runtime.edge.answer import Headers, Request
from gitdeploy.runtime.edge.forward import Asked
from gitdeploy.runtime.edge.upstream import Head, NoAnswer, Upstream

_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def pass_on(app: Upstream, request: Request, always: Headers, receive: _Receive, send: _Send) -> None:
    """Raises NoAnswer while the visitor has been sent nothing; an answer that breaks off later is cut."""
    asked = Asked.of(request.headers)
    ours = [
        (b"x-forwarded-for", request.visitor.encode("latin-1")),
        (b"x-forwarded-host", request.host.encode("latin-1")),
        (b"x-forwarded-proto", request.scheme.encode("latin-1")),
    ]
    head = forward.request_head(request.method, request.target, request.headers, asked, ours)
    sending = asyncio.ensure_future(_send_request(app, head, asked, receive))
    try:
        answer = await app.head()
        if answer.status == 101:
            if not asked.upgrade:
                raise NoAnswer("it switches protocols unasked")
            await _ended(sending)
            await _tunnel(app, answer, request, always)
        else:
            await _answer(app, answer, request, always, send)
    finally:
        await _ended(sending)
        app.close()


async def _send_request(app: Upstream, head: bytes, asked: Asked, receive: _Receive) -> None:
    """Ends by watching the visitor, to tell the app when there is none any more."""
    with contextlib.suppress(OSError):  # it reads no further, and may have answered all the same
        await app.send(head)
        more = asked.has_body
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                break
            more = message.get("more_body", False)
            await app.send(_framed(message.get("body", b""), asked, more))
    while (await receive())["type"] != "http.disconnect":
        pass
    app.hang_up()


def _framed(part: bytes, asked: Asked, more: bool) -> bytes:
    if not asked.is_chunked:
        return part
    return (b"%x\r\n%b\r\n" % (len(part), part) if part else b"") + (b"" if more else b"0\r\n\r\n")


async def _answer(app: Upstream, head: Head, request: Request, always: Headers, send: _Send) -> None:
    """HTTP/1.0 knows no chunks: there an answer without a length ends with the connection."""
    headers = forward.answer_headers(head, always)
    if head.status > 599 or head.status < 200:
        raise NoAnswer(f"its status is {head.status}")
    connection = request.connection
    try:
        if request.is_http_1_0 and not any(name == b"content-length" for name, _ in headers):
            connection.take_over(forward.raw_head(head, always))
            async for part in app.body():
                await connection.write(part)
            return connection.finish()
        await send({"type": "http.response.start", "status": head.status, "headers": headers})
        async for part in app.body():
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    except (NoAnswer, ConnectionResetError):
        connection.cut()


async def _tunnel(app: Upstream, head: Head, request: Request, always: Headers) -> None:
    """Bytes both ways until one side ends."""
    connection = request.connection
    connection.take_over(forward.raw_head(head, always))
    upward = asyncio.ensure_future(_pass_up(app, request))
    try:
        with contextlib.suppress(OSError):
            while data := await app.receive():
                await connection.write(data)
    finally:
        await _ended(upward)
        connection.finish()


async def _pass_up(app: Upstream, request: Request) -> None:
    with contextlib.suppress(OSError):
        while data := await request.connection.read():
            await app.send(data)
    app.hang_up()


async def _ended(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
