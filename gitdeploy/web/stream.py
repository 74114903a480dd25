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
    """Run `verb` in a thread that ends its work even when nobody listens any more."""
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
    lines = iter(said.get, None)
    if LINES in request.headers.get("accept", ""):
        return StreamingResponse(_lines(lines), media_type=LINES)
    *_, last = lines
    assert last is not None
    if "error" in last:
        return JSONResponse({"error": last["error"]}, last["status"])
    return JSONResponse(last.get("result"))


def _lines(lines: Iterator[dict[str, Any] | None]) -> Iterator[str]:
    for line in lines:
        yield json.dumps(line, ensure_ascii=False) + "\n"
