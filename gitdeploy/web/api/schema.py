"""`/openapi.json`: what FastAPI reads from the routes, and what holds of all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import TypeAdapter

from gitdeploy.web.shapes.server import Error

_REF = "#/components/schemas/{model}"
_ERRORS = {
    401: "No token, or one that does not count.",
    403: "Policy or role says no.",
    404: "There is no such thing, or none that the caller may see.",
    409: "Somebody else holds it, it is locked, or it is not proven.",
    412: "It is not what `If-Match` says any more.",
    413: "The request is too large.",
    422: "What was asked for cannot be understood.",
    429: "That was too often from this address.",
    500: "It was tried and did not succeed.",
}
_EXAMPLES = Path(__file__).with_name("examples.json")
_TAG = {"ETag": {"description": "Of what was read.", "schema": {"type": "string"}}}
_NEXT = {"Link": {"description": 'The next page: <…>; rel="next".', "schema": {"type": "string"}}}
_AGAIN = {
    "Retry-After": {
        "description": "Seconds after which the same may go well, if it may.",
        "schema": {"type": "integer"},
    }
}


def describe(app: FastAPI) -> None:
    """Let `app` describe itself by `whole`."""
    found: list[dict[str, Any]] = []
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        if not found:
            found.append(whole(plain()))
        return found[0]

    app.openapi = openapi  # type: ignore[method-assign]


def whole(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with errors and the way to be known."""
    shapes = schema["components"]["schemas"]
    said = TypeAdapter(Error).json_schema(ref_template=_REF)
    shapes |= {**said.pop("$defs"), "Error": said}
    for name in ("HTTPValidationError", "ValidationError"):
        shapes.pop(name, None)
    schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    schema["security"] = [{"token": []}]
    examples = json.loads(_EXAMPLES.read_text("utf-8"))
    for method, _, operation in operations(schema):
        answers = operation["responses"]
        for status, says in _ERRORS.items():
            if _may(status, method, operation):
                answers[str(status)] = {
                    "description": says,
                    "content": {"application/json": {"schema": {"$ref": _REF.format(model="Error")}}},
                    **({"headers": _AGAIN} if status in (409, 429) else {}),
                }
        if method == "get" and "application/json" in answers["200"]["content"]:
            answers["200"]["headers"] = _TAG
            answers["304"] = {"description": "It is what `If-None-Match` says still.", "headers": _TAG}
        if any(one["name"] == "limit" for one in operation.get("parameters", [])) and "304" in answers:
            answers["200"]["headers"] = {**_TAG, **_NEXT}
        operation["responses"] = dict(sorted(answers.items()))
        _exemplify(operation, examples.get(operation["operationId"], {}))
    return schema


def operations(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(method, path, operation), each."""
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def _may(status: int, method: str, operation: dict[str, Any]) -> bool:
    if status == 404:
        return bool(operation.get("parameters") or "requestBody" in operation)
    if status == 409:
        return method != "get"
    if status == 412:
        return any(one["name"] == "if-match" for one in operation.get("parameters", []))
    if status == 429:
        return "login" in operation["tags"]
    if status == 413:
        return "requestBody" in operation
    return True


def _exemplify(operation: dict[str, Any], example: dict[str, Any]) -> None:
    """Show what a real server was asked, and what it answered."""
    answers = [said for status, said in operation["responses"].items() if status.startswith("2")]
    for what, part in (("asked", operation.get("requestBody", {})), *(("answered", one) for one in answers)):
        kind = next(iter(part.get("content", {})), "")
        if what in example and kind:
            part["content"][kind]["example"] = example[what]
