"""Sends one open file: its headers, the version the visitor has, the part asked for, compressed or not.

The file is opened once and everything (size, tag, bytes) is told by that one descriptor.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from gitdeploy.domain import content_type
from gitdeploy.domain.serving import Serve
from gitdeploy.runtime.edge import http_rules
from gitdeploy.runtime.edge.protocol import BoundedProtocol

Headers = tuple[tuple[bytes, bytes], ...]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_AT_ONCE = 64 * 1024
"""Bytes read (and at most compressed) within the event loop; a thread costs more than such a read."""
_CHUNK = 256 * 1024

IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATE = "public, max-age=0, must-revalidate"
_NO_STORE = "no-store"


class Request:
    """What the edge looks at of an ASGI scope. `headers` have their names in lower case."""

    def __init__(self, scope: MutableMapping[str, Any]) -> None:
        self.method: str = scope["method"]
        self.raw_path: bytes = scope["raw_path"]
        self.query: str = scope["query_string"].decode("latin-1")
        self.headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.is_http_1_0: bool = scope["http_version"] == "1.0"
        self.is_guarded = False
        self._client: tuple[str, int] | None = scope["client"]
        self._state: dict[str, Any] = scope["state"]

    def header(self, name: bytes) -> str | None:
        """The values of a header (lower case name), joined by commas."""
        values = [value for key, value in self.headers if key == name]
        return b", ".join(values).decode("latin-1") if values else None

    def count(self, name: bytes) -> int:
        return sum(key == name for key, _ in self.headers)

    def enter_with_password(self) -> None:
        """The visitor has given the environment's password, which is not for the app behind it."""
        self.is_guarded = True
        self.headers = [pair for pair in self.headers if pair[0] != b"authorization"]

    @property
    def host(self) -> str:
        return self.header(b"host") or ""

    @property
    def target(self) -> bytes:
        """Path and query as they were sent."""
        return self.raw_path + b"?" + self.query.encode("latin-1") if self.query else self.raw_path

    @property
    def is_direct(self) -> bool:
        """It did not come through Caddy."""
        return self._client is not None

    @property
    def visitor(self) -> str:
        """The visitor's address. Caddy's word is taken for it, as nobody else can speak over the unix socket."""
        return self._client[0] if self._client else self.header(b"x-forwarded-for") or "unknown"

    @property
    def scheme(self) -> str:
        return "http" if self._client else self.header(b"x-forwarded-proto") or "http"

    @property
    def connection(self) -> BoundedProtocol:
        connection: BoundedProtocol = self._state["connection"]
        return connection


@dataclass(frozen=True)
class File:
    fd: int
    size: int
    etag: str


def open_file(path: str) -> File:
    """Raises OSError; also when it is no regular file."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    seen = os.fstat(fd)
    if not stat.S_ISREG(seen.st_mode):
        os.close(fd)
        raise FileNotFoundError(path)
    return File(fd, seen.st_size, http_rules.etag(int(seen.st_mtime), seen.st_size))


async def send_file(
    file: File, decision: Serve, request: Request, always: Headers, receive: _Receive, send: _Send
) -> None:
    """Answer and close the file. `always` are headers that nothing overrides."""
    try:
        plan = _plan(file, decision, request)
        own = {name.lower() for name, _ in decision.headers}
        said = [pair for pair in plan.headers if pair[0] not in own] + [*decision.headers]
        headers = [(name.lower().encode(), value.encode()) for name, value in said]
        headers = [pair for pair in headers if pair[0] not in {name for name, _ in always}] + [*always]
        part = plan.part if request.method != "HEAD" else None
        if part is not None and len(part) <= _AT_ONCE:
            body = os.pread(file.fd, len(part), part.start)
            body = _gzip(body) if plan.gzip else body
            if plan.gzip:
                headers.append((b"content-length", str(len(body)).encode()))
            await send({"type": "http.response.start", "status": plan.status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        await send({"type": "http.response.start", "status": plan.status, "headers": headers})
        async with contextlib.aclosing(_chunks(file, part or range(0), plan.gzip)) as chunks:
            gone = asyncio.ensure_future(_gone(receive))
            try:
                async for chunk in chunks:
                    if gone.done():
                        return
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            finally:
                gone.cancel()
        await send({"type": "http.response.body", "body": b""})
    finally:
        os.close(file.fd)


@dataclass(frozen=True)
class _Plan:
    status: int
    headers: list[tuple[str, str]]
    part: range | None
    gzip: bool = False


def _plan(file: File, decision: Serve, request: Request) -> _Plan:
    """Which of 200, 206, 304, 412, 416 it is.

    `If-Modified-Since` is ignored and no `Last-Modified` sent: a file's mtime stands for its bytes and not
    for a time, so after a rollback it may go backwards and "not newer" would be a stale page.
    """
    path = decision.path or ""
    kind = content_type.of(path)
    headers = [("content-type", kind)]
    if decision.status != 200:
        headers += [("cache-control", _NO_STORE), ("content-length", str(file.size))]
        return _Plan(decision.status, headers, range(file.size))
    headers.append(("cache-control", IMMUTABLE if content_type.has_content_hash(path) else REVALIDATE))
    smaller = content_type.compressible(kind) and file.size >= content_type.SMALLEST_COMPRESSED
    if smaller:
        headers.append(("vary", "Accept-Encoding"))
    asked_range = request.header(b"range") if request.method == "GET" else None
    gzip = (
        smaller and asked_range is None and http_rules.accepts_gzip(request.header(b"accept-encoding") or "")
    )
    headers.append(("etag", http_rules.weak(file.etag) if gzip else file.etag))
    wanted = request.header(b"if-match")
    if wanted is not None and http_rules.match_fails(wanted, file.etag):
        return _Plan(412, [*headers, ("content-length", "0")], None)
    known = request.header(b"if-none-match")
    if known is not None and http_rules.none_match_fails(known, file.etag):
        return _Plan(304, headers, None)
    if gzip:
        return _Plan(200, [*headers, ("content-encoding", "gzip")], range(file.size), gzip=True)
    headers.append(("accept-ranges", "bytes"))
    return _part(file, headers, asked_range, request.header(b"if-range"))


def _part(file: File, headers: list[tuple[str, str]], asked: str | None, if_range: str | None) -> _Plan:
    try:
        part = http_rules.byte_range(asked, if_range, file.etag, file.size) if asked else None
    except http_rules.Unsatisfiable:
        empty = ("content-length", "0")
        return _Plan(416, [*headers, ("content-range", f"bytes */{file.size}"), empty], None)
    if part is None:
        return _Plan(200, [*headers, ("content-length", str(file.size))], range(file.size))
    headers.append(("content-range", f"bytes {part.start}-{part.stop - 1}/{file.size}"))
    return _Plan(206, [*headers, ("content-length", str(len(part)))], part)


async def _chunks(file: File, part: range, gzip: bool) -> AsyncGenerator[bytes, None]:
    """The bytes, read (and compressed) in a thread. A file that shrank is an error, never a short answer."""
    press = zlib.compressobj(6, zlib.DEFLATED, 31) if gzip else None
    at = part.start

    def step() -> bytes:
        nonlocal at
        data = os.pread(file.fd, min(_CHUNK, part.stop - at), at)
        if not data:
            raise OSError("the file ended early")
        at += len(data)
        if press is None:
            return data
        return press.compress(data) + (press.flush() if at == part.stop else b"")

    while at < part.stop:
        chunk = await asyncio.to_thread(step)
        if chunk:
            yield chunk


async def _gone(receive: _Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _gzip(data: bytes) -> bytes:
    return zlib.compress(data, 6, 31)
