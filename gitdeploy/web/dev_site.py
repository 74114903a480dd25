"""The edge's answers for one working folder, and a browser that keeps up with it.

HTML documents get a reference to `/_gitdeploy/reload.js`, which listens to `/_gitdeploy/events`:

    data: {"version": "5f0c-3", "problem": null}     or {"message": …, "hint": …, "log": […]}

A page that was given another version than the one told loads itself again.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import asdict
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from gitdeploy import resources
from gitdeploy.runtime.edge.app import app as edge
from gitdeploy.service.dev import HOST, Workshop

SCRIPT, EVENTS = "/_gitdeploy/reload.js", "/_gitdeploy/events"
_FRESH = (b"cache-control", b"no-store")
_NOT_TOLD = {b"accept-encoding", b"if-none-match", b"host"}
"""Of a request the edge is not told what would make it pack a page, or send none because the browser has one."""


class Screen:
    """What browsers are told of a workshop."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self._run = secrets.token_hex(4)
        self._closed = False
        self._news = asyncio.Event()

    @property
    def version(self) -> str:
        return f"{self._run}-{self.workshop.shown or 0}"

    def refresh(self) -> None:
        """Tell everybody what there is now."""
        self._news.set()
        self._news = asyncio.Event()

    def close(self) -> None:
        self._closed = True
        self.refresh()

    async def events(self) -> AsyncIterator[str]:
        """What is shown now, then each change, as an event stream (WHATWG HTML, server-sent events)."""
        while not self._closed:
            news = self._news
            problem = asdict(self.workshop.problem) if self.workshop.problem else None
            yield f"data: {json.dumps({'version': self.version, 'problem': problem})}\n\n"
            await news.wait()


class Site:
    """The ASGI application."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._script = (resources.folder("templates") / "dev/reload.js").read_text("utf-8")
        templates = FileSystemLoader(resources.folder("templates"))
        self._page = Environment(loader=templates, autoescape=True).get_template("edge/page.html")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        own = self._own(headers.get(b"host", b"").decode("latin-1"), scope["path"])
        if own is not None:
            return await own(scope, receive, send)
        wants_page = headers.get(b"sec-fetch-dest", b"document") in (b"document", b"iframe", b"frame")
        marked = _Marked(send, self._tag if wants_page else b"")
        if not self._screen.workshop.shown:
            return await self._nothing_yet()(scope, receive, marked)
        scope["headers"] = [pair for pair in scope["headers"] if pair[0] not in _NOT_TOLD]
        scope["headers"].append((b"host", HOST.encode()))
        return await edge(scope, receive, marked)

    @property
    def _tag(self) -> bytes:
        return f'<script src="{SCRIPT}?{self._screen.version}"></script>'.encode()

    def _own(self, host: str, path: str) -> Response | None:
        """What the site has no say in."""
        fresh = {"cache-control": "no-store"}
        if not _is_local(host):
            return PlainTextResponse("Open this as localhost, or by the machine's IP address.\n", 403)
        if path == SCRIPT:
            return PlainTextResponse(self._script, 200, fresh, "text/javascript")
        if path == EVENTS:
            return StreamingResponse(self._screen.events(), 200, fresh, "text/event-stream")
        return None

    def _nothing_yet(self) -> Response:
        problem = self._screen.workshop.problem
        text = f"{problem.message} {problem.hint}" if problem else "It is being built for the first time."
        return HTMLResponse(self._page.render(status=503, title="Nothing to show yet", text=text), 503)


class _Marked:
    """Passes an answer on that no browser keeps; in an HTML document with `tag` before the end of its body."""

    def __init__(self, send: Send, tag: bytes) -> None:
        self._send = send
        self._tag = tag
        self._held: bytearray | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._send({**message, "headers": self._headers(message)})
        elif self._held is None:
            await self._send(message)
        else:
            self._held += message.get("body", b"")
            if not message.get("more_body"):
                at = self._held.lower().rfind(b"</body>")
                at = at if at >= 0 else len(self._held)
                self._held[at:at] = self._tag
                await self._send({"type": "http.response.body", "body": bytes(self._held)})

    def _headers(self, message: Message) -> list[tuple[bytes, bytes]]:
        said = dict(message["headers"])
        kept = [pair for pair in message["headers"] if pair[0] not in (b"etag", _FRESH[0])]
        is_page = said.get(b"content-type", b"").startswith(b"text/html") and message["status"] != 206
        if is_page and self._tag and b"content-length" in said:
            length = int(said[b"content-length"]) + len(self._tag)
            kept = [pair for pair in kept if pair[0] != b"content-length"]
            kept.append((b"content-length", str(length).encode()))
            self._held = bytearray()
        return [*kept, _FRESH]


def _is_local(host: str) -> bool:
    """Whether a `Host` names this machine itself: another name may be anybody's page, led here by its own DNS."""
    with contextlib.suppress(ValueError):
        name = urlsplit(f"//{host}").hostname or ""
        if name == HOST or name.endswith(f".{HOST}"):
            return True
        ipaddress.ip_address(name)
        return True
    return False
