"""Git over HTTP (gitprotocol-http(5)): who it is, which site, and then git's own backend does the talking.

Bodies stream through in both directions, so a pack of any size needs little memory here.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import os
import signal
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from gitdeploy import process
from gitdeploy.domain.role import Actor
from gitdeploy.errors import GitdeployError, Refused
from gitdeploy.git import backend
from gitdeploy.process import Command
from gitdeploy.service import access, transport
from gitdeploy.service.context import Context
from gitdeploy.web.sessions import Sessions

_CHUNK = 1 << 16
_ASK = {"WWW-Authenticate": 'Basic realm="gitdeploy: any user name, a token as the password"'}


class GitDoor:
    def __init__(self, ctx: Context, sessions: Sessions) -> None:
        self._ctx = ctx
        self._sessions = sessions

    async def __call__(self, request: Request) -> Response:
        """`/<site>.git/info/refs`, `/<site>.git/git-upload-pack`, `/<site>.git/git-receive-pack`."""
        service = _service(request)
        if service not in backend.SERVICES:
            return _said("This server speaks git's smart HTTP only.", 403)
        secret = _password(request.headers.get("authorization", ""))
        if secret is None:
            return _said("A token is needed.\nMake one with: gitdeploy token create ACTOR", 401, _ASK)
        try:
            actor = await run_in_threadpool(access.by_token, self._ctx, secret)
        except Refused as error:
            return _said(f"{error.message}\n{error.hint}", 401, _ASK)
        try:
            await run_in_threadpool(transport.admit, self._ctx, actor, request.path_params["site"], service)
        except GitdeployError as error:
            return _said(f"{error.message}\n{error.hint}", error.http_status)
        return await self._talk(request, actor)

    async def _talk(self, request: Request, actor: Actor) -> Response:
        name, rest = request.path_params["site"], request.path_params["rest"]
        session = self._sessions.open(actor)
        command = backend.http(
            self._ctx.home.repos, request=_cgi(request, f"/{name}.git/{rest}", actor), session=session
        )
        return Talk(command, lambda: self._sessions.close(session))


class Talk(Response):
    """An answer that is made by git's backend while the request is still coming in."""

    def __init__(self, command: Command, close: Callable[[], None]) -> None:
        super().__init__()
        self._command = command
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        try:
            child = await process.start_async(self._command)
        except BaseException:
            self._close()
            raise
        listening = asyncio.create_task(_feed(receive, child))
        assert child.stdout is not None
        try:
            status, headers = await _head(child.stdout)
            await send({"type": "http.response.start", "status": status, "headers": headers})
            while chunk := await child.stdout.read(_CHUNK):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if await child.wait() == 0:
                await send({"type": "http.response.body", "body": b""})
            # else: an answer that git did not finish must not look finished, or its client waits for the rest for ever
        except OSError:
            pass  # the client went away
        finally:
            listening.cancel()
            _kill(child)
            await child.wait()
            self._close()


async def _feed(receive: Receive, child: asyncio.subprocess.Process) -> None:
    """Pass the request's body on; then wait for the client to hang up, which ends git's processes: what was
    accepted by then goes on without them. When the body is torn, git is left to clear away what it got of it.
    """
    assert child.stdin is not None
    whole = False
    try:
        while (message := await receive())["type"] == "http.request":
            child.stdin.write(message.get("body", b""))
            await child.stdin.drain()
            whole = not message.get("more_body", False)
            if whole:
                child.stdin.close()
        if whole:
            _kill(child)
    except ConnectionError:
        pass  # git has heard enough
    finally:
        child.stdin.close()


async def _head(source: asyncio.StreamReader) -> tuple[int, list[tuple[bytes, bytes]]]:
    """The CGI headers (RFC 3875 section 6) that git's backend begins with; 500 when it ended without any."""
    status, headers = 200, []
    while line := (await source.readline()).strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"status":
            status = int(value.split()[0])
        else:
            headers.append((name.lower(), value.strip()))
    return (status, headers) if headers else (500, [])


def _kill(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        try:
            os.killpg(child.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass


def _cgi(request: Request, path: str, actor: Actor) -> dict[str, str]:
    """Without CONTENT_LENGTH: git reads to the end, and notices by itself when that comes too early."""
    variables = {
        "REQUEST_METHOD": request.method,
        "PATH_INFO": path,
        "QUERY_STRING": request.url.query,
        "REMOTE_USER": actor.name,
        "REMOTE_ADDR": request.client.host if request.client else "",
    }
    for header, name in (
        ("content-type", "CONTENT_TYPE"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("git-protocol", "GIT_PROTOCOL"),
    ):
        if (value := request.headers.get(header)) is not None:
            variables[name] = value
    return variables


def _service(request: Request) -> str:
    """The service that git's backend is going to carry out, so the one to check rights for; "" for none."""
    rest: str = request.path_params["rest"]
    if request.method == "POST":
        return rest
    return request.query_params.get("service", "") if rest == "info/refs" else ""


def _password(authorization: str) -> str | None:
    """The token of a Basic (as password) or Bearer header; None when there is none."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip() or None
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(value).decode().partition(":")[2] or None
    except (binascii.Error, UnicodeDecodeError):
        return None


def _said(text: str, status: int, headers: dict[str, str] | None = None) -> Response:
    return PlainTextResponse(text + "\n", status, headers)
