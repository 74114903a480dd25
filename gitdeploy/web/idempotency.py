"""`Idempotency-Key`: the same key with the same request gives the same answer, and acts once. The same key with another
request is refused. A key belongs to the person who sends it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

from anyio import to_thread
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gitdeploy.domain.answer import KEY_MAX, Answer
from gitdeploy.errors import GitdeployError, Invalid
from gitdeploy.service import idempotency
from gitdeploy.service.context import Context
from gitdeploy.web.api import asking
from gitdeploy.web.stream import EVENTS, LINES, last_of, retry_after, streamed, wants_lines

_CHANGING = ("POST", "PUT", "PATCH", "DELETE")


class Idempotent:
    def __init__(self, app: ASGIApp, ctx: Context) -> None:
        self._app = app
        self._ctx = ctx
        self._running: dict[str, asyncio.Event] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        key = headers.get("idempotency-key", "")
        if not key or scope["method"] not in _CHANGING or not scope["path"].startswith("/v1/"):
            await self._app(scope, receive, send)
            return
        try:
            answer = await self._once(scope, key, receive, send)
        except GitdeployError as error:
            answer = JSONResponse({"error": error.as_json()}, error.http_status, headers=retry_after(error))
        if answer is not None:
            await answer(scope, receive, send)

    async def _once(self, scope: Scope, key: str, receive: Receive, send: Send) -> Response | None:
        """An answer that was kept; None when the request was passed on and has been answered."""
        if len(key) > KEY_MAX or not key.isprintable():
            raise Invalid(f"An Idempotency-Key has up to {KEY_MAX} printable characters.", "Use a UUID.")
        body = await _whole(receive)
        who = await to_thread.run_sync(asking.actor, Request(scope), self._ctx)
        # A token that may less than its owner is told no answer that was given to one that may more.
        limits = repr((who.roles, who.parts)) if who.limited else ""
        id = hashlib.sha256(f"{who.name}\n{limits}\n{key}".encode("utf-8", "surrogateescape")).hexdigest()
        address = scope["raw_path"] + b"?" + scope["query_string"]
        request = hashlib.sha256(b"\n".join((scope["method"].encode(), address, body))).hexdigest()
        while True:
            found = await to_thread.run_sync(idempotency.begin, self._ctx, id, request)
            if found is None:
                break
            if found.state == "done":
                return _kept(found, Request(scope))
            await self._running[id].wait()
        ended = self._running[id] = asyncio.Event()
        try:
            await self._pass_on(scope, body, send, id)
        finally:
            del self._running[id]
            ended.set()
        return None

    async def _pass_on(self, scope: Scope, body: bytes, send: Send, id: str) -> None:
        """To the end, also when nobody listens any more. The answer is kept before it is given: who has heard it will
        hear the same again, whatever happens to us in between.
        """
        asked = False
        held: list[Message] = []
        seen: dict[str, Any] = {"status": 500, "type": ""}
        said = bytearray()

        async def once() -> Message:
            nonlocal asked
            if asked:
                await asyncio.Event().wait()
            asked = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def hear(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
                seen["type"] = Headers(raw=message["headers"]).get("content-type", "")
            elif message["type"] == "http.response.body":
                said.extend(message.get("body", b""))
            if seen["type"].startswith((LINES, EVENTS)) and not _ends(message):
                await send(message)
            else:
                held.append(message)

        try:
            await self._app(scope, once, hear)
        finally:
            status, result = _result(seen["status"], seen["type"], bytes(said))
            await asyncio.shield(to_thread.run_sync(idempotency.end, self._ctx, id, status, result))
        for message in held:
            await send(message)


def _ends(message: Message) -> bool:
    """Whether a message of a stream has more than progress in it."""
    body = message.get("body", b"")
    progress = (b'{"said"', b"event: said")
    return message["type"] == "http.response.body" and not body.startswith(progress)


async def _whole(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


def _result(status: int, kind: str, said: bytes) -> tuple[int, bytes]:
    """Status and body as they are without the lines that came before."""
    if not kind.startswith((LINES, EVENTS)):
        return status, said
    last = last_of(kind, said)
    if "error" in last:
        return last["status"], json.dumps({"error": last["error"]}).encode()
    return (200, json.dumps(last["result"]).encode()) if "result" in last else (500, b"")


def _kept(found: Answer, request: Request) -> Response:
    if not wants_lines(request):
        return Response(found.body, found.status, media_type="application/json")
    said = json.loads(found.body or b"null")
    return streamed(request, [{**said, "status": found.status} if found.status >= 400 else {"result": said}])
