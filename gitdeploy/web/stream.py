"""A verb that takes a while, told as it happens: one JSON line for each thing said, then the result or the error.

    {"said": "-----> rollback of blog …"}
    {"result": {…}}   or   {"error": {"code": …, "message": …, "hint": …}}

Who does not ask for `application/x-ndjson` gets the result alone, as one JSON document.
"""

from __future__ import annotations

import json
import queue
from collections.abc import Callable, Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from gitdeploy.service.context import Context
from gitdeploy.service.mishap import plainly
from gitdeploy.service.teller import Teller

Verb = Callable[[Teller], Any]
LINES = "application/x-ndjson"


def told(ctx: Context, request: Request, verb: Verb) -> Response:
    lines = heard(ctx, request, verb)
    if wants_lines(request):
        return streamed(lines)
    *_, last = lines
    if "error" in last:
        return JSONResponse({"error": last["error"]}, last["status"])
    return JSONResponse(last.get("result"))


def wants_lines(request: Request) -> bool:
    return LINES in request.headers.get("accept", "")


def heard(ctx: Context, request: Request, verb: Verb) -> Iterator[dict[str, Any]]:
    """Run `verb` in a thread that ends its work even when nobody listens any more; what it says as it comes, then the
    `result`, or the `error` with its HTTP `status`.
    """
    said: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()

    def act() -> None:
        def hear(data: bytes) -> None:
            said.put({"said": data.decode("utf-8", "replace")})

        try:
            said.put({"result": verb(Teller(hear))})
        except Exception as error:
            told = plainly(error, f"{request.method} {request.url.path}")
            said.put({"error": told.as_json(), "status": told.http_status})
        said.put(None)

    ctx.queue.track(act)
    return _until_none(said)


def streamed(lines: Iterator[dict[str, Any]]) -> Response:
    return StreamingResponse(
        (json.dumps(line, ensure_ascii=False) + "\n" for line in lines), media_type=LINES
    )


def _until_none(said: queue.SimpleQueue[dict[str, Any] | None]) -> Iterator[dict[str, Any]]:
    while (line := said.get()) is not None:
        yield line
