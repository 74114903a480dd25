"""The Settings tab: what a site is reached by, what runs for it, and what holds it."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response

from gitdeploy.domain.config import BUILD, PREVIEW
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.errors import Invalid
from gitdeploy.service import config as configs
from gitdeploy.service import domain as domains
from gitdeploy.service import environment as environments
from gitdeploy.service import freeze as freezes
from gitdeploy.service import processes
from gitdeploy.service import site as sites
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx
from gitdeploy.web.pages import ansi, page
from gitdeploy.web.pages.asking import Seen, Sent, ThisSite
from gitdeploy.web.route import unlisted

router = unlisted()
_LINES = 200


@router.get("/sites/{site}/settings")
def show(request: Request, ctx: Ctx, visit: Seen, site: ThisSite) -> Response:
    named = [one.name for one in environments.listing(ctx, site, ("production", "named"))]
    scopes = list(dict.fromkeys([PRODUCTION, *named, PREVIEW, BUILD]))
    shown = {}
    if visit.may("developer", site.name):
        for scope in scopes:
            newest = configs.newest(ctx, site.name, scope)
            shown[scope] = {
                name: None if one.secret else one.value for name, one in configs.values(ctx, newest).items()
            }
    return page.of_site(
        request, site, "settings", "settings.html", title=f"Settings of {site.name}", scopes=scopes, config=shown,
        remotes=sites.remotes(ctx, site), domains=[domains.describe(ctx, one) for one in domains.listing(ctx, site)],
        freezes=[views.freeze(one) for one in freezes.declared(ctx, site)], settled=freezes.settled(ctx, site),
        processes=views.copies(processes.listing(ctx, site, PRODUCTION)), environments=named,
    )  # fmt: skip


@router.post("/sites/{site}/scale")
def scale(ctx: Ctx, visit: Seen, site: ThisSite, form: Sent) -> Response:
    count = form.get("count")
    if not count.isdecimal():
        raise Invalid("How many copies is a number.", "Such as 2.")
    processes.scale(ctx, visit.actor, site, PRODUCTION, {form.get("program"): int(count)})
    return page.led("sites", site.name, "settings", done="saved")


@router.get("/sites/{site}/logs")
def logs(
    request: Request, ctx: Ctx, visit: Seen, site: ThisSite, env: str = PRODUCTION, process: str = ""
) -> Response:
    found = processes.tail(ctx, visit.actor, site, env, process, _LINES)
    return page.of_site(
        request, site, "settings", "logs.html", title=f"Logs of {site.name}", env=env, process=process,
        lines=ansi.lines("\n".join(found)),
    )  # fmt: skip
