"""The sites of a server."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from gitdeploy.domain.names import PRODUCTION, SiteName
from gitdeploy.service import build as builds
from gitdeploy.service import history, offer, overview
from gitdeploy.service import site as sites
from gitdeploy.web.api.asking import Ctx
from gitdeploy.web.pages import page
from gitdeploy.web.pages.asking import SENT, Seen, Sent, ThisSite
from gitdeploy.web.route import unlisted

router = unlisted()
_SHOWN = 30


@router.get("/")
def listing(request: Request, ctx: Ctx, visit: Seen, q: str = "", after: str = "") -> Response:
    found = overview.sites(ctx, visit.actor, find=q.strip(), after=after, limit=_SHOWN + 1)
    more = page.url(q=q, after=found[_SHOWN - 1].site.name) if len(found) > _SHOWN else ""
    return page.shown(
        request, "sites.html", title="Sites", sites=found[:_SHOWN], q=q, after=after, more=more,
        clone=f"http://{request.url.netloc}",
    )  # fmt: skip


@router.post("/sites")
def create(ctx: Ctx, visit: Seen, form: Sent) -> Response:
    made = sites.create(ctx, visit.actor, SiteName.parse(form.get("name")))
    return page.led("sites", made.name, done="site")


@router.post("/sites/{site}/lock")
def lock(ctx: Ctx, visit: Seen, site: ThisSite, form: Sent) -> Response:
    sites.lock(ctx, visit.actor, site, form.get("reason")[:1000] or "locked from the dashboard")
    return page.led("sites", site.name, "settings", done="locked")


@router.post("/sites/{site}/unlock", dependencies=SENT)
def unlock(ctx: Ctx, visit: Seen, site: ThisSite) -> Response:
    sites.lock(ctx, visit.actor, site, "")
    return page.led("sites", site.name, "settings", done="unlocked")


@router.get("/sites/{site}/now")
def now(ctx: Ctx, site: ThisSite) -> Response:
    """What changes when something happens: an open page asks for it now and then."""
    env = history.environment_of(ctx, site, PRODUCTION)
    newest = next(iter(builds.listing(ctx, site, limit=1)), None)
    glance = overview.site(ctx, site)
    return JSONResponse({
        "live": glance.live.name if glance.live else None, "building": glance.building,
        "build": newest.id if newest else None, "state": newest.state if newest else None,
        "busy": offer.under_way(ctx, env),
    })  # fmt: skip
