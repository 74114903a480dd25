"""The audit log, of a site and of the server."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response

from gitdeploy.service import events
from gitdeploy.web.api.asking import Ctx
from gitdeploy.web.pages import page
from gitdeploy.web.pages.asking import Seen, ThisSite
from gitdeploy.web.route import unlisted

router = unlisted()
_SHOWN = 50


@router.get("/sites/{site}/events")
def of_site(request: Request, ctx: Ctx, visit: Seen, site: ThisSite, before: str = "") -> Response:
    found = events.listing(ctx, visit.actor, site=site.name, before=before, limit=_SHOWN + 1)
    rows = found[:_SHOWN]
    return page.of_site(
        request, site, "events", "events.html", title=f"Events of {site.name}", events=rows, is_first=not before,
        older=page.url("sites", site.name, "events", before=rows[-1].id) if len(found) > _SHOWN else "",
    )  # fmt: skip


@router.get("/events")
def of_server(request: Request, ctx: Ctx, visit: Seen, before: str = "") -> Response:
    found = events.listing(ctx, visit.actor, before=before, limit=_SHOWN + 1)
    rows = found[:_SHOWN]
    return page.shown(
        request, "server_events.html", title="Events", events=rows, is_first=not before,
        older=page.url("events", before=rows[-1].id) if len(found) > _SHOWN else "",
    )  # fmt: skip
