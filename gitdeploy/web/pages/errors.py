"""How a failure looks in a browser: the sentence, the next step, and a way on."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from gitdeploy.errors import GitdeployError
from gitdeploy.web.api.asking import Unknown
from gitdeploy.web.pages import page
from gitdeploy.web.stream import retry_after

_NOT_PAGES = ("/v1/", "/healthz", "/metrics", "/openapi.json")


def is_page(request: Request) -> bool:
    path = request.url.path
    if path.startswith(_NOT_PAGES) or ".git/" in path or path.endswith(".git"):
        return False
    return "application/" not in request.headers.get("accept", "").partition(",")[0].replace(
        "application/xhtml+xml", ""
    )


def refusal(request: Request, error: GitdeployError) -> Response:
    if isinstance(error, Unknown) and request.method == "GET":
        after = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(page.url("sign-in", next="" if after == "/" else after), 303)
    answer = page.shown(
        request,
        "error.html",
        status=error.http_status,
        title=error.message,
        error=error,
        code=error.http_status,
    )
    answer.headers.update(retry_after(error))
    return answer
