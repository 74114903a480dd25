"""`ETag` of what is read, `If-None-Match` for who has it already, `If-Match` for who changes what they have read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from fastapi.responses import Response

from gitdeploy.errors import Busy
from gitdeploy.service.expectation import Expect, anything


class Changed(Busy):
    code = "changed"
    http_status = 412


class Expected:
    """What the caller believes a thing to be, by the `ETag` that they were told."""

    def __init__(self, if_match: Annotated[str, Header()] = "") -> None:
        self._tags = _tags(if_match)

    def of(self, look: Callable[[], object]) -> Expect:
        """Whether what `look` returns, in the shape of its GET, is that still. It raises Changed."""

        def check() -> None:
            if "*" not in self._tags and tag(look()) not in self._tags:
                raise Changed("Somebody else has changed it meanwhile.", "Read it again, then change it.")

        return check if self._tags else anything


If = Annotated[Expected, Depends(Expected)]


def tag(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    return f'"{hashlib.sha256(text).hexdigest()[:32]}"'


def tagged(request: Request, answer: Response) -> Response:
    """The answer with its `ETag`, or 304 for who has it already."""
    if request.method != "GET" or answer.status_code != 200:
        return answer
    if not answer.headers.get("content-type", "").startswith("application/json"):
        return answer
    said: Any = json.loads(bytes(answer.body))
    answer.headers["ETag"] = tag(said)
    held = _tags(request.headers.get("if-none-match", ""))
    if answer.headers["ETag"] not in held and "*" not in held:
        return answer
    kept = {name: answer.headers[name] for name in ("ETag", "Link") if name in answer.headers}
    return Response(status_code=304, headers=kept)


def _tags(header: str) -> frozenset[str]:
    return frozenset(one.strip().removeprefix("W/") for one in header.split(",") if one.strip())
