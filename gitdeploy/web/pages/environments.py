"""Previews and named environments: where a branch is shown, and for how long."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response

from gitdeploy.domain import units
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.errors import Invalid
from gitdeploy.service import door, history, offer
from gitdeploy.service import environment as environments
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx
from gitdeploy.web.pages import page
from gitdeploy.web.pages.asking import Seen, Sent, ThisSite
from gitdeploy.web.route import unlisted

router = unlisted()
_SHOWN = 30


@router.get("/sites/{site}/previews")
def listing(request: Request, ctx: Ctx, visit: Seen, site: ThisSite, after: str = "") -> Response:
    found = environments.by_name(ctx, site, ("preview", "named"), after=after, limit=_SHOWN + 1)
    rows = found[:_SHOWN]
    live = {one.env: views.release(one) for one in history.live_in(ctx, site, (one.name for one in rows))}
    return page.of_site(
        request, site, "previews", "previews.html", title=f"Previews of {site.name}",
        previews=[views.environment(ctx, one) for one in rows], live=live, after=after,
        more=page.url("sites", site.name, "previews", after=rows[-1].name) if len(found) > _SHOWN else "",
        remote=f"{request.url.scheme}://{request.url.netloc}/{site.name}.git",
        no_promote=offer.promote(ctx, visit.actor, site, history.environment_of(ctx, site, PRODUCTION)),
    )  # fmt: skip


@router.post("/sites/{site}/previews/extend")
def extend(ctx: Ctx, visit: Seen, site: ThisSite, form: Sent) -> Response:
    environments.extend(ctx, visit.actor, site, form.get("branch"), units.parse_duration(form.get("ttl")))
    return page.led("sites", site.name, "previews", done="extended")


@router.post("/sites/{site}/previews/remove")
def remove(ctx: Ctx, visit: Seen, site: ThisSite, form: Sent) -> Response:
    environments.remove(ctx, visit.actor, site, form.get("branch"))
    return page.led("sites", site.name, "previews", done="removed")


@router.post("/sites/{site}/password")
def protect(ctx: Ctx, visit: Seen, site: ThisSite, form: Sent) -> Response:
    """Without a password the environment is open again."""
    door.password(ctx, visit.actor, site, form.get("env"), form.raw("password") or None)
    return page.led("sites", site.name, "previews", done="saved")


@router.post("/sites/{site}/maintenance")
def maintenance(ctx: Ctx, visit: Seen, site: ThisSite, form: Sent) -> Response:
    message = form.get("message")
    if form.get("do") == "close" and not message:
        raise Invalid("A maintenance page needs a message.", "Say what visitors should know.")
    door.maintenance(ctx, visit.actor, site, PRODUCTION, message if form.get("do") == "close" else None, "")
    return page.led("sites", site.name, "settings", done="saved")
