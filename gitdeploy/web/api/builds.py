from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from gitdeploy.service import build as builds
from gitdeploy.service.teller import Teller
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx, ThisSite, Who
from gitdeploy.web.stream import told

router = APIRouter(tags=["builds"])


@router.get("/sites/{site}/builds")
def listing(ctx: Ctx, site: ThisSite, limit: int = 50, before: str = "~") -> list[dict[str, Any]]:
    """The builds of a site, newest first; `before` is the id of the last one already seen."""
    return [
        views.build(one) for one in builds.listing(ctx, site, limit=max(1, min(limit, 500)), before=before)
    ]


@router.get("/builds/{id}")
def show(ctx: Ctx, who: Who, id: str) -> dict[str, Any]:
    """One build, by its id or a beginning of it that is unique."""
    return views.build(builds.show(ctx, who, id))


@router.get("/builds/{id}/log")
def log(ctx: Ctx, who: Who, id: str, follow: bool = False) -> Response:
    """The build's output as plain text; with `follow` it goes on until the build ends."""
    chunks = builds.read_log(ctx, builds.show(ctx, who, id), follow=follow)
    return StreamingResponse(chunks, media_type="text/plain; charset=utf-8")


@router.post("/builds/{id}/cancel")
def cancel(ctx: Ctx, who: Who, request: Request, id: str) -> Response:
    """Stop a build; answers when nothing of it runs any more."""
    found = builds.show(ctx, who, id)

    def run(teller: Teller) -> dict[str, Any]:
        builds.cancel(ctx, who, ctx.site(found.site), found.id, teller)
        return views.build(builds.show(ctx, who, found.id))

    return told(ctx, request, run)
