"""Builds and their logs, read while they grow."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from gitdeploy.domain.build import Build
from gitdeploy.domain.names import build_label
from gitdeploy.domain.recipe import APP
from gitdeploy.domain.site import Site
from gitdeploy.errors import NotFound
from gitdeploy.service import build as builds
from gitdeploy.service import history, offer, serving
from gitdeploy.service.context import Context
from gitdeploy.service.teller import Teller
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx
from gitdeploy.web.pages import ansi, page
from gitdeploy.web.pages.asking import SENT, Seen, ThisSite, Visit
from gitdeploy.web.route import unlisted

router = unlisted()
_SHOWN = 30
_TAIL = 256 * 1024  # bytes of a log that a page shows


@router.get("/sites/{site}/builds")
def listing(request: Request, ctx: Ctx, site: ThisSite, before: str = "~") -> Response:
    found = builds.listing(ctx, site, limit=_SHOWN + 1, before=before)
    rows = found[:_SHOWN]
    return page.of_site(
        request, site, "builds", "builds.html", title=f"Builds of {site.name}",
        builds=[views.build(one) for one in rows],
        older=page.url("sites", site.name, "builds", before=rows[-1].id) if len(found) > _SHOWN else "",
        is_first=before == "~",
    )  # fmt: skip


@router.get("/sites/{site}/builds/{id}")
def show(request: Request, ctx: Ctx, visit: Seen, site: ThisSite, id: str) -> Response:
    found = _of(ctx, visit, site, id)
    source = builds.show(ctx, visit.actor, found.reused_from) if found.reused_from else found
    log, cut = _tail(ctx, source)
    recipe = json.loads(found.recipe) if found.recipe else {}
    is_stored = serving.stored(ctx, found)
    has_page = is_stored and recipe.get("kind") != APP
    production = history.environment_of(ctx, site, "")
    return page.of_site(
        request, site, "builds", "build.html", title=f"Build {found.id}", build=views.build(found), recipe=recipe,
        source=views.build(source), log=ansi.lines(log), cut=cut, is_stored=is_stored,
        permalink=ctx.url(site.name, build_label(source.id)) if has_page else "",
        shown_on=[(one, ctx.url(site.name, one.label)) for one in history.shown_on(ctx, site, found.artifact, but="")]
        if found.artifact else [],
        no_promote=offer.promote(ctx, visit.actor, site, production),
    )  # fmt: skip


@router.get("/sites/{site}/builds/{id}/log")
def log(ctx: Ctx, visit: Seen, site: ThisSite, id: str, follow: bool = False) -> Response:
    """The whole log as plain text; with `follow` it goes on until the build ends."""
    chunks = builds.read_log(ctx, _of(ctx, visit, site, id), follow=follow)
    return StreamingResponse(chunks, media_type="text/plain; charset=utf-8")


@router.post("/sites/{site}/builds/{id}/cancel", dependencies=SENT)
def cancel(request: Request, ctx: Ctx, visit: Seen, site: ThisSite, id: str) -> Response:
    found = _of(ctx, visit, site, id)
    back = page.url("sites", site.name, "builds", found.id)

    def run(teller: Teller) -> dict[str, Any]:
        builds.cancel(ctx, visit.actor, site, found.id, teller)
        return {"says": "The build is canceled.", "go": back, "label": "Back to the build"}

    return page.carried(request, site, "builds", "Cancel a build", run, back)


def _of(ctx: Context, visit: Visit, site: Site, id: str) -> Build:
    found = builds.show(ctx, visit.actor, id)
    if found.site != site.name:
        raise NotFound(f"{site.name} has no build {id[:40]!r}.", f"See: gitdeploy builds {site.name}")
    return found


def _tail(ctx: Context, build: Build) -> tuple[str, bool]:
    """The end of a log, from the beginning of a line; and whether something is left out before it."""
    kept: deque[bytes] = deque()
    size, cut = 0, False
    for chunk in builds.read_log(ctx, build):
        kept.append(chunk)
        size += len(chunk)
        while size - len(kept[0]) >= _TAIL:
            size -= len(kept.popleft())
            cut = True
    text = b"".join(kept)
    if cut:
        text = text.partition(b"\n")[2]
    return text.decode("utf-8", "replace"), cut
