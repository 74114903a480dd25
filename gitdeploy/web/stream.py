"""What is told as it happens: one JSON line for each thing said, then the result or the error.

    {"said": "-----> rollback of blog …"}
    {"result": {…}}   or   {"error": {"code": …, "message": …, "hint": …}}

Who asks for `text/event-stream` gets the same as server-sent events; who asks for neither gets the result alone, as
one JSON document. Logs are text, or an event for each line; what ends by itself ends with an event `end`, so that no
browser asks again.
"""

from __future__ import annotations

import codecs
import json
import queue
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from gitdeploy.errors import GitdeployError
from gitdeploy.service.context import Context
from gitdeploy.service.mishap import plainly
from gitdeploy.service.teller import Teller

Result = TypeVar("Result")
Verb = Callable[[Teller], Result]
LINES = "application/x-ndjson"
EVENTS = "text/event-stream"
PLAIN = "text/plain; charset=utf-8"
_PULSE = ": nothing new\n\n"


@dataclass(frozen=True)
class Line:
    """One line of a stream; an event of that name and id to who listens for events."""

    data: str
    event: str = ""
    id: str = ""

    def as_event(self) -> str:
        named = (("id", self.id), ("event", self.event))
        return "".join(f"{name}: {value}\n" for name, value in named if value) + f"data: {self.data}\n\n"


class Told(Response, Generic[Result]):
    """The answer of a verb that results in a `Result`."""

    def __init__(self, answer: Response) -> None:
        self._answer = answer
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope, receive, send)


class Text(StreamingResponse):
    """Plain text as it comes, or its lines as events."""


class Lines(StreamingResponse):
    """JSON lines as they come, or events."""


def told(ctx: Context, request: Request, verb: Verb[Result]) -> Told[Result]:
    said = heard(ctx, request, verb)
    if wants_lines(request):
        return Told(streamed(request, said))
    *_, last = said
    if "error" in last:
        return Told(JSONResponse({"error": last["error"]}, last["status"], headers=last["headers"]))
    return Told(JSONResponse(last.get("result")))


def wants_lines(request: Request) -> bool:
    """Lines or events."""
    accept = request.headers.get("accept", "")
    return LINES in accept or EVENTS in accept


def heard(ctx: Context, request: Request, verb: Verb[Any]) -> Iterator[dict[str, Any]]:
    """Run `verb` in a thread that ends its work even when nobody listens any more; what it says as it comes, then the
    `result`, or the `error` with its HTTP `status` and `headers`.
    """
    said: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()

    def act() -> None:
        def hear(data: bytes) -> None:
            said.put({"said": data.decode("utf-8", "replace")})

        try:
            said.put({"result": verb(Teller(hear))})
        except Exception as error:
            told = plainly(error, f"{request.method} {request.url.path}")
            said.put({"error": told.as_json(), "status": told.http_status, "headers": retry_after(told)})
        said.put(None)

    ctx.queue.track(act)
    return _until_none(said)


def streamed(request: Request, said: Iterable[dict[str, Any]]) -> Response:
    return lines(request, ([Line(_json(one), next(iter(one)))] for one in said), ends=False)


def lines(request: Request, batches: Iterable[list[Line]], *, ends: bool = True) -> Lines:
    """JSON lines, some at a time, or events; none at a time shows who listens for events that we are still there."""
    if EVENTS in request.headers.get("accept", ""):
        return Lines(_events(batches, ends), media_type=EVENTS)
    return Lines(("".join(f"{one.data}\n" for one in some) for some in batches), media_type=LINES)


def text(request: Request, chunks: Iterable[bytes]) -> Text:
    """Text as it comes, or an event for each line of it."""
    if EVENTS in request.headers.get("accept", ""):
        return Text(_events(_split(chunks), ends=True), media_type=EVENTS)
    return Text(chunks, media_type=PLAIN)


def retry_after(error: GitdeployError) -> dict[str, str]:
    """The header that says when to try again, if that is worth it."""
    return {"Retry-After": str(error.again)} if error.again else {}


def last_of(kind: str, body: bytes) -> dict[str, Any]:
    """The last thing told in a stream of that media type."""
    found = [
        line.removeprefix(b"data: ") for line in body.splitlines() if line.startswith((b"{", b"data: {"))
    ]
    said: dict[str, Any] = json.loads(found[-1]) if kind.startswith((LINES, EVENTS)) and found else {}
    return said


def _events(batches: Iterable[list[Line]], ends: bool) -> Iterator[str]:
    for some in batches:
        yield "".join(one.as_event() for one in some) or _PULSE
    if ends:
        yield Line("", "end").as_event()


def _split(chunks: Iterable[bytes]) -> Iterator[list[Line]]:
    """Whole lines, without what ends them."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest = ""
    for chunk in chunks:
        *whole, rest = (rest + decoder.decode(chunk)).split("\n")
        yield [Line(line.replace("\r", "")) for line in whole]
    if rest:
        yield [Line(rest.replace("\r", ""))]


def _json(said: dict[str, Any]) -> str:
    return json.dumps({name: one for name, one in said.items() if name != "headers"}, ensure_ascii=False)


def _until_none(said: queue.SimpleQueue[dict[str, Any] | None]) -> Iterator[dict[str, Any]]:
    while (line := said.get()) is not None:
        yield line
