"""The ASGI application: git, the API, and how errors look."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import gitdeploy
from gitdeploy.domain.role import Actor
from gitdeploy.errors import GitdeployError, Invalid, NotFound
from gitdeploy.service.context import Context
from gitdeploy.web.api import router
from gitdeploy.web.git import GitDoor
from gitdeploy.web.sessions import Sessions

LARGEST = 1 << 20
"""Bytes of the largest request to the API."""


def application(ctx: Context, sessions: Sessions) -> FastAPI:
    app = FastAPI(title="gitdeploy", version=gitdeploy.__version__, docs_url=None, redoc_url=None)
    app.add_middleware(Bounded)
    app.state.ctx = ctx
    app.state.sessions = sessions
    app.include_router(router)
    app.add_route(
        "/{site}.git/{rest:path}", GitDoor(ctx, sessions).__call__, ["GET", "POST"], include_in_schema=False
    )
    app.add_api_route("/healthz", _healthz, include_in_schema=False)
    app.add_api_route("/", _front, include_in_schema=False)
    app.add_exception_handler(GitdeployError, _refusal)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(HTTPException, _http)
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

        is_api = scope["type"] == "http" and scope["path"].startswith("/v1/")
        await self._app(scope, counted if is_api else receive, send)


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


def _front(request: Request) -> Response:
    return PlainTextResponse(
        f"gitdeploy {gitdeploy.__version__}\n\nPush to {request.base_url}<site>.git with a token as the password.\n"
    )


def _refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, GitdeployError)
    return JSONResponse({"error": error.as_json()}, error.http_status)


def _unreadable(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    where = "/".join(str(part) for part in first["loc"])
    said = Invalid(f"{where}: {first['msg']}.", "See /openapi.json for what this address takes.")
    return JSONResponse({"error": said.as_json()}, said.http_status)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = NotFound(f"{request.method} {request.url.path} is not an address of this server.")
    body = (
        said.as_json()
        if error.status_code == 404
        else {**said.as_json(), "code": "http", "message": error.detail}
    )
    return JSONResponse({"error": body}, error.status_code, error.headers)
