"""The style sheet and the script, under names that change with their content, so that browsers keep them for ever."""

from __future__ import annotations

import hashlib
from functools import cache

from fastapi.responses import Response

from gitdeploy import resources
from gitdeploy.errors import NotFound
from gitdeploy.web.route import unlisted

router = unlisted()
_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def address(name: str) -> str:
    return f"/assets/{_names()[name]}"


@router.get("/assets/{name}")
def asset(name: str) -> Response:
    found = _files().get(name)
    if found is None:
        raise NotFound("There is no such file.", "Reload the page: the server was upgraded.")
    content, kind = found
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(content, media_type=f"{kind}; charset=utf-8", headers=headers)


@cache
def _files() -> dict[str, tuple[bytes, str]]:
    folder = resources.folder("templates") / "dashboard" / "assets"
    return {
        _names()[path.name]: (path.read_bytes(), _KINDS[path.suffix])
        for path in folder.iterdir()
        if path.suffix in _KINDS
    }


@cache
def _names() -> dict[str, str]:
    folder = resources.folder("templates") / "dashboard" / "assets"
    return {
        path.name: f"{path.stem}.{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}{path.suffix}"
        for path in folder.iterdir()
    }
