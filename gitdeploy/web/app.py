"""The ASGI application: git, the API, the dashboard, and how errors look."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import gitdeploy
from gitdeploy.domain.role import Actor
from gitdeploy.errors import Failed, GitdeployError, Invalid, NotFound
from gitdeploy.service import trace
from gitdeploy.service.context import Context
from gitdeploy.service.login import Logins
from gitdeploy.service.metrics import Metrics
from gitdeploy.service.mishap import UNFORESEEN
from gitdeploy.store import ids
from gitdeploy.web import api, metrics, pages
from gitdeploy.web.api import schema
from gitdeploy.web.first_run import FirstRun
from gitdeploy.web.git import GitDoor
from gitdeploy.web.idempotency import Idempotent
from gitdeploy.web.limits import Lockout, Pace
from gitdeploy.web.pages import errors
from gitdeploy.web.sessions import Sessions
from gitdeploy.web.stream import retry_after

LARGEST = 1 << 20
"""Bytes of the largest request to the API."""


def application(ctx: Context, sessions: Sessions, first_run: FirstRun) -> FastAPI:
    app = FastAPI(title="gitdeploy", version=gitdeploy.__version__, docs_url=None, redoc_url=None)
    schema.describe(app)
    app.add_middleware(Idempotent, ctx=ctx)
    app.add_middleware(Acting, ctx=ctx)
    app.add_middleware(Bounded)
    app.add_middleware(Guarded)
    app.add_middleware(Traced)
    app.state.ctx = ctx
    app.state.sessions = sessions
    app.state.first_run = first_run
    app.state.lockout = Lockout()
    app.state.pace = Pace()
    app.state.knocks = Pace(most=10, per_second=0.1)
    app.state.logins = Logins(ctx)
    app.state.metrics = Metrics(ctx)
    app.router.routes += [*api.ROUTES, *metrics.router.routes, *pages.ROUTES]
    app.add_route(
        "/{site}.git/{rest:path}", GitDoor(ctx, sessions).__call__, ["GET", "POST"], include_in_schema=False
    )
    app.add_api_route("/healthz", _healthz, include_in_schema=False)
    app.add_exception_handler(GitdeployError, _refusal)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unforeseen)
    return app


class Bounded:
    """Refuses a body that is larger than any request to the API needs while it comes in, known sender or not. What
    git sends is bounded by git itself.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > LARGEST:
                raise HTTPException(413, f"A request may have {LARGEST} bytes.")
            return message

        is_git = scope["type"] == "http" and ".git/" in scope["path"]
        await self._app(scope, receive if is_git else counted, send)


class Acting:
    """Nothing is changed by a server that another may have replaced. A push is refused by its hook, which says why."""

    def __init__(self, app: ASGIApp, ctx: Context) -> None:
        self._app = app
        self._ctx = ctx

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] == "http"
            and scope["method"] not in ("GET", "HEAD")
            and ".git/" not in scope["path"]
        ):
            try:
                self._ctx.lead.need()
            except GitdeployError as error:
                await _refusal(Request(scope), error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class Traced:
    """What changes something has an id of its own, in every line that the server logs of it, and in the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD") or ".git/" in scope["path"]:
            return await self._app(scope, receive, send)
        id = ids.new("req")

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Gitdeploy-Request"] = id
            await send(message)

        with trace.of(id):
            return await self._app(scope, receive, told)


class Guarded:
    """Tells browsers what our pages may do: nothing but load our own files and send forms to us. Nobody frames them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _GUARDS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, guarded)


_GUARDS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "Cache-Control": "no-store",
}


class Local:
    """The same application for those who reach the unix socket: they are known by the kernel."""

    def __init__(self, app: ASGIApp, actor: Actor) -> None:
        self._app = app
        self._actor = actor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["gitdeploy.local"] = self._actor
        await self._app(scope, receive, send)


def _healthz() -> Response:
    return PlainTextResponse("ok\n")


def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, GitdeployError)
    if errors.is_page(request):
        return errors.refusal(request, error)
    return JSONResponse({"error": error.as_json()}, error.http_status, headers=retry_after(error))


def _unforeseen(request: Request, _: Exception) -> Response:
    """It is raised once more after this, and logged with its traceback."""
    return _refusal(request, Failed(*UNFORESEEN))


def _unreadable(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    where = "/".join(str(part) for part in first["loc"])
    said = Invalid(f"{where}: {first['msg']}.", "See /openapi.json for what this address takes.")
    if errors.is_page(request):
        return errors.refusal(request, said)
    return JSONResponse({"error": said.as_json()}, said.http_status)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = NotFound(f"{request.method} {request.url.path} is not an address of this server.")
    if errors.is_page(request) and error.status_code == 404:
        return errors.refusal(request, said)
    if error.status_code == 400:  # a body that is no text at all
        return _refusal(request, Invalid("The body cannot be read.", "Send JSON."))
    body = (
        said.as_json()
        if error.status_code == 404
        else {**said.as_json(), "code": "http", "message": error.detail}
    )
    return JSONResponse({"error": body}, error.status_code, error.headers)
