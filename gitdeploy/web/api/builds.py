from __future__ import annotations

from fastapi import Request

from gitdeploy.service import build as builds
from gitdeploy.service.teller import Teller
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx, ThisSite, Who
from gitdeploy.web.api.paging import Paged
from gitdeploy.web.api.route import noun
from gitdeploy.web.shapes import releases as shapes
from gitdeploy.web.stream import Text, Told, text, told

router = noun("builds")


@router.get("/sites/{site}/builds")
def listing(ctx: Ctx, site: ThisSite, page: Paged, before: str = "~") -> list[shapes.Build]:
    """The builds of a site, newest first; `before` is the id of the last one already seen."""
    found = builds.listing(ctx, site, limit=page.enough, before=before)
    return [views.build(one) for one in page.of(found, lambda one: one.id)]


@router.get("/builds/{id}")
def show(ctx: Ctx, who: Who, id: str) -> shapes.Build:
    """One build, by its id or a beginning of it that is unique."""
    return views.build(builds.show(ctx, who, id))


@router.get("/builds/{id}/log")
def log(ctx: Ctx, who: Who, request: Request, id: str, follow: bool = False) -> Text:
    """The build's output as plain text; with `follow` it goes on until the build ends."""
    chunks = builds.read_log(ctx, builds.show(ctx, who, id), follow=follow)
    return text(request, chunks)


@router.post("/builds/{id}/cancel")
def cancel(ctx: Ctx, who: Who, request: Request, id: str) -> Told[shapes.Build]:
    """Stop a build; answers when nothing of it runs any more."""
    found = builds.show(ctx, who, id)

    def run(teller: Teller) -> shapes.Build:
        builds.cancel(ctx, who, ctx.site(found.site), found.id, teller)
        return views.build(builds.show(ctx, who, found.id))

    return told(ctx, request, run)
