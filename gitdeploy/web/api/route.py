"""How a route tells what it answers with: by what it returns, and in words by its docstring."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Coroutine
from typing import Any, get_args, get_origin

from fastapi import APIRouter, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from gitdeploy.web.api.conditional import tagged
from gitdeploy.web.route import Route
from gitdeploy.web.stream import EVENTS, LINES, Lines, Text, Told

_STRING = {"schema": {"type": "string"}}


class Png(Response):
    media_type = "image/png"


_STREAMS: dict[object, dict[str, Any]] = {
    Told: {LINES: _STRING, EVENTS: _STRING},
    Text: {"text/plain": _STRING, EVENTS: _STRING},
    Lines: {LINES: _STRING, EVENTS: _STRING},
    Png: {"image/png": {"schema": {"type": "string", "contentMediaType": "image/png"}}},
}
"""What a route answers with besides JSON, or instead."""


class _Route(Route):
    def say(self, said: dict[str, Any]) -> dict[str, Any]:
        found = inspect.signature(self.endpoint, eval_str=True).return_annotation
        content = _STREAMS.get(get_origin(found) or found)
        if get_origin(found) is Told:
            (said["response_model"],) = get_args(found)
        elif content:
            said["response_class"] = Response
        if content:
            said["responses"] = {**(said.get("responses") or {}), 200: {"content": content}}
        text = " ".join((said.get("description") or inspect.getdoc(self.endpoint) or "").split())
        said["summary"] = re.split(r"(?<=[.:;]) ", text)[0].rstrip(".:;")
        return said

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return tagged(request, await answer(request))

        return handle


def noun(tag: str) -> APIRouter:
    """A router of `/v1` for one kind of thing."""

    def name(route: APIRoute) -> str:
        return f"{tag}_{route.name}{'_of_project' if '/projects/' in route.path else ''}"

    return APIRouter(prefix="/v1", tags=[tag], route_class=_Route, generate_unique_id_function=name)
