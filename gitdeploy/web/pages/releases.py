"""What served, and what could: the Deploys tab, and the page of one release."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import Response

from gitdeploy.domain import target as targets
from gitdeploy.domain.approval import Approval
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.errors import NotFound
from gitdeploy.service import approval as approvals
from gitdeploy.service import build as builds
from gitdeploy.service import environment as environments
from gitdeploy.service import history, offer, overview, serving
from gitdeploy.service import schedule as schedules
from gitdeploy.service.context import Context
from gitdeploy.service.teller import Teller
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx
from gitdeploy.web.pages import page
from gitdeploy.web.pages.asking import SENT, Seen, Sent, ThisSite
from gitdeploy.web.route import unlisted

router = unlisted()
_SHOWN = 20


@router.get("/sites/{site}")
def deploys(
    request: Request, ctx: Ctx, visit: Seen, site: ThisSite, env: str = PRODUCTION, before: int = 1 << 40,
    build: str = "",
) -> Response:  # fmt: skip
    where = history.environment_of(ctx, site, env)
    served = history.listing(ctx, site, env=where.name, limit=_SHOWN + 1, before=before)
    rows, older = served[:_SHOWN], served[_SHOWN:]
    made = builds.by_ids(ctx, (one.build for one in rows))
    live = history.live_at(ctx, site, where.name)
    could = [_candidate(ctx, where, one) for where, one in overview.candidates(ctx, site, where.name)]
    return page.of_site(
        request, site, "deploys", "deploys.html", title=site.name, env=views.environment(ctx, where),
        others=[one.name for one in environments.listing(ctx, site, ("production", "named"))],
        live=views.release(live) if live else None, history=[views.release(one) for one in rows],
        builds={id: views.build(one) for id, one in made.items()}, candidates=could,
        chosen=build or (could[0]["release"]["build"] if could else ""),
        is_first=before >= 1 << 40, older=page.url("sites", site.name, env=_unless(where.name),
                                                   before=rows[-1].number) if older else "",
        approvals=[asked(visit.actor, one) for one in approvals.listing(ctx, site)],
        waiting=[views.schedule(one) for one in schedules.listing(ctx, site)],
        no_rollback=(no_rollback := offer.rollback(ctx, visit.actor, site, where)),
        previous=None if no_rollback else offer.previous(ctx, site, where),
        no_promote=offer.promote(ctx, visit.actor, site, where),
        remote=f"{request.url.scheme}://{request.url.netloc}/{site.name}.git",
    )  # fmt: skip


@router.get("/sites/{site}/releases/{release}")
def show(request: Request, ctx: Ctx, visit: Seen, site: ThisSite, release: str) -> Response:
    found = history.numbered(ctx, site, release)
    env = history.environment_of(ctx, site, found.env)
    build = builds.by_ids(ctx, [found.build]).get(found.build)
    return page.of_site(
        request, site, "deploys", "release.html", title=f"{found.name} of {site.name}", release=views.release(found),
        build=views.build(build) if build else None, is_stored=build is not None and serving.stored(ctx, build),
        message=_message(ctx, site, found.commit), no_rollback=offer.rollback(ctx, visit.actor, site, env),
        url_of_env=ctx.url(site.name, env.label), env=views.environment(ctx, env),
    )  # fmt: skip


@router.post("/sites/{site}/releases/{release}/pin")
def pin(ctx: Ctx, visit: Seen, site: ThisSite, release: str, form: Sent) -> Response:
    history.pin(ctx, visit.actor, site, targets.parse(release), form.ticked("pinned"))
    done = "pinned" if form.ticked("pinned") else "unpinned"
    return page.led("sites", site.name, "releases", release, done=done)


@router.post("/sites/{site}/releases/{release}/verify", dependencies=SENT)
def verify(request: Request, ctx: Ctx, visit: Seen, site: ThisSite, release: str) -> Response:
    visit.actor.need(Role.VIEWER, site.name, "verify releases")
    found = history.numbered(ctx, site, release)
    back = page.url("sites", site.name, "releases", found.name)

    def run(teller: Teller) -> dict[str, Any]:
        serving.verify(ctx, found, teller)
        return {
            "says": f"{found.name} is proven, byte by byte.",
            "go": back,
            "label": f"Back to {found.name}",
        }

    return page.carried(request, site, "deploys", f"Verify {found.name}", run, back)


def asked(actor: Actor, row: Approval) -> dict[str, Any]:
    """What waits for approval, and why `actor` may not give theirs ("" when they may)."""
    return {**views.approval(row), "why_not": offer.approve(actor, row), "is_mine": row.actor == actor.name}


def _candidate(ctx: Context, env: Any, release: Any) -> dict[str, Any]:
    return {"env": env, "url": ctx.url(env.site, env.label), "release": views.release(release)}


def _message(ctx: Context, site: Site, commit: str) -> str:
    try:
        return ctx.repository(site.name).commit(commit).message.strip()
    except NotFound:
        return ""


def _unless(env: str) -> str:
    return "" if env == PRODUCTION else env
