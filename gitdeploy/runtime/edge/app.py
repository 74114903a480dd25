"""The embedded edge as an ASGI application: a host and a path in, one release's answer out.

No framework: a 3 KB page costs two readlinks, a few stats and an open in the event loop. (Starlette's FileResponse
does each of these in a thread and knows neither `If-None-Match` nor a file name that is no UTF-8.)
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from gitdeploy.domain import content_type
from gitdeploy.domain.gate import admits
from gitdeploy.domain.host import HostName
from gitdeploy.domain.serving import Redirect, Serve, decide
from gitdeploy.errors import Invalid
from gitdeploy.runtime.edge import access_log, answer, gate, pages, proxy, site
from gitdeploy.runtime.edge.forward import Asked
from gitdeploy.runtime.edge.upstream import NoAnswer, Unreachable, Upstream

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

https_suffix: str | None = None
"""What an https address needs behind its host: "" or `:8443`; None when Caddy before this process has no TLS."""

log: access_log.Log | None = None
"""Where visits are written down; not those that come through Caddy, which does it itself."""

ALIVE_HOST = "edge.gitdeploy.invalid"
"""Asked for by the driver to learn that it is our edge that answers; `.invalid` can be nobody's domain."""

NOINDEX = (b"x-robots-tag", b"noindex")
_PRIVATE = (b"cache-control", b"private, no-cache")
_RETRY_AFTER = (b"retry-after", str(pages.RETRY_AFTER).encode())
_HTML = b"text/html; charset=utf-8"

_AS_SENT = "".join(map(chr, range(0x21, 0x7F)))
"""Everything that may stand in a header; the rest of a visitor's path is escaped."""

PATIENCE = 5.0
"""Seconds for an app to be there: it may be starting again. Nothing of the request has been read by then."""
_PAUSE = 0.02


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise RuntimeError(f"the edge does not speak {scope['type']}")
    request = answer.Request(scope)
    host = HostName.asked(request.host)
    if host == ALIVE_HOST:
        return await _own(send, request, 200, f"embedded {os.getpid()}\n".encode(), b"text/plain")
    if log is None or not request.is_direct:
        return await _visit(host, request, receive, send)
    counted = access_log.Counted(send)
    try:
        await _visit(host, request, receive, counted)
    finally:
        taken = request.connection.taken
        log.write(request, counted.status or taken.status, counted.size + taken.size, counted.duration)
    return None


async def _visit(host: HostName | None, request: answer.Request, receive: Receive, send: Send) -> None:
    environment = site.only
    if environment is None and host is not None and request.count(b"host") == 1:
        environment = site.environment(host)
    preview = (NOINDEX,) if host is not None and host.is_preview else ()
    if environment is None:
        return await _page(send, request, "no_site", preview)
    if (elsewhere := _elsewhere(host, environment, request)) is not None:
        return await _redirect(send, Redirect(elsewhere, 308), preview)
    try:
        if await _gate(environment, request, preview, send):
            await _site(environment, request, preview, receive, send)
    except Invalid:
        await _page(send, request, "broken", preview)
    return None


def _elsewhere(host: HostName | None, environment: str, request: answer.Request) -> str | None:
    """Where the visitors of a domain belong: to its other name, and to HTTPS when there is any."""
    folder, _, target = environment.partition("/")
    if folder != "domains":
        is_own = https_suffix is not None and request.scheme == "http" and os.path.isdir(f"domains/{host}")  # noqa: PTH112 (hot)
        if not is_own:
            return None
        target = str(host)
    path = quote(request.target if request.target.startswith(b"/") else b"/", safe=_AS_SENT)
    if https_suffix is not None:
        return f"https://{target}{https_suffix}{path}"
    _, colon, port = request.host.partition(":")
    return f"http://{target}{colon}{port}{path}"


async def _gate(environment: str, request: answer.Request, always: answer.Headers, send: Send) -> bool:
    """False when the visitor was stopped at the gate and has been told so."""
    closed = gate.read(environment)
    if closed.allowed is not None and not admits(closed.allowed.networks, request.visitor):
        await _page(send, request, "forbidden", always)
        return False
    if closed.password is not None:
        if not await gate.opens(closed.password, request.header(b"authorization")):
            ask = (b"www-authenticate", b'Basic realm="preview", charset="UTF-8"')
            await _page(send, request, "password", (*always, ask))
            return False
        request.enter_with_password()
    if closed.maintenance is not None and not closed.maintenance.admits(request.visitor):
        wait = str(closed.maintenance.retry_after(datetime.now(UTC))).encode()
        body = pages.maintenance(closed.maintenance.message)
        await _own(send, request, 503, body, _HTML, (*always, (b"retry-after", wait)))
        return False
    return True


async def _site(
    environment: str, request: answer.Request, always: answer.Headers, receive: Receive, send: Send
) -> None:
    """The live slot is asked for anew at each try: one may be retired between being found and being used."""
    deadline = time.monotonic() + PATIENCE
    tries = 0
    while True:
        slot = site.live(environment)
        if slot is None:
            return await _page(send, request, "no_site", always)
        try:
            if slot.is_app:
                upstream = Upstream(slot.socket, request.method)
                return await proxy.pass_on(upstream, request, always, receive, send)
            return await _files(environment, slot, request, always, receive, send)
        except NoAnswer:
            tries += 1
            if tries > 1 or request.method not in ("GET", "HEAD") or Asked.of(request.headers).has_body:
                return await _page(send, request, "no_answer", always)
        except (Unreachable, FileNotFoundError):
            if slot.is_app and not slot.has_web:
                return await _page(send, request, "no_web", always)
            if time.monotonic() > deadline:
                return await _page(send, request, "unavailable", (*always, _RETRY_AFTER))
            await asyncio.sleep(_PAUSE)


async def _files(
    environment: str,
    slot: site.Slot,
    request: answer.Request,
    always: answer.Headers,
    receive: Receive,
    send: Send,
) -> None:
    """Raises FileNotFoundError when what was there a moment ago is gone."""
    always = (*always, NOINDEX) if slot.rules.noindex and NOINDEX not in always else always
    if request.method not in ("GET", "HEAD"):
        return await _page(send, request, "method", (*always, (b"allow", b"GET, HEAD")))
    path = os.fsdecode(unquote_to_bytes(request.raw_path))
    decision = decide(slot.rules, path, slot.kind, request.query)
    private = (_PRIVATE,) if request.is_guarded else ()
    if isinstance(decision, Redirect):
        return await _redirect(send, decision, (*always, *private))
    if decision.status == 404 and content_type.has_content_hash(path):
        slot, decision = _recent(environment, slot, path, decision)
    if decision.path is None:
        return await _page(send, request, "not_found", (*always, *_set_by_site(decision)))
    try:
        file = answer.open_file(f"{slot.root}/{decision.path}")
    except OSError as error:
        raise FileNotFoundError(decision.path) from error
    always = (*always, *private) if decision.status == 200 else always
    return await answer.send_file(file, decision, request, always, receive, send)


def _recent(environment: str, live: site.Slot, path: str, missing: Serve) -> tuple[site.Slot, Serve]:
    """A page opened before the last switch may still ask for its scripts: their names say they never change."""
    for slot in site.recent(environment, live):
        found = decide(slot.rules, path, slot.kind)
        if (
            isinstance(found, Serve)
            and found.status == 200
            and content_type.has_content_hash(found.path or "")
        ):
            return slot, found
    return live, missing


async def _redirect(send: Send, redirect: Redirect, always: answer.Headers) -> None:
    cached = () if _PRIVATE in always else ((b"cache-control", answer.REVALIDATE.encode()),)
    headers = [(b"location", redirect.to.encode("ascii")), (b"content-length", b"0"), *cached, *always]
    await send({"type": "http.response.start", "status": redirect.status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _page(send: Send, request: answer.Request, name: str, more: answer.Headers = ()) -> None:
    await _own(send, request, pages.status(name), pages.page(name), _HTML, more)


async def _own(
    send: Send, request: answer.Request, status: int, body: bytes, kind: bytes, more: answer.Headers = ()
) -> None:
    length = str(len(body)).encode()
    headers = [(b"content-type", kind), (b"content-length", length), (b"cache-control", b"no-store"), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})


def _set_by_site(decision: Serve) -> answer.Headers:
    return tuple(
        (name.lower().encode(), value.encode())
        for name, value in decision.headers
        if name.lower() not in ("cache-control", "content-type")
    )
