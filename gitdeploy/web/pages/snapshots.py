"""The Data tab: snapshots taken, proven, and restored."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import Response

from gitdeploy.domain.names import PRODUCTION
from gitdeploy.errors import GitdeployError, Refused
from gitdeploy.service import environment as environments
from gitdeploy.service import history, offer
from gitdeploy.service import snapshot as snapshots
from gitdeploy.service.restore import Unconfirmed
from gitdeploy.service.teller import Teller
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx
from gitdeploy.web.api.snapshots import Restore, restored
from gitdeploy.web.pages import page
from gitdeploy.web.pages.asking import SENT, Seen, Sent, ThisSite
from gitdeploy.web.route import unlisted

router = unlisted()
_SHOWN = 30
_PREVIEWS = 50  # of the newest, that a snapshot may be restored into


@router.get("/sites/{site}/data")
def listing(request: Request, ctx: Ctx, site: ThisSite, env: str = "", before: int = 1 << 40) -> Response:
    chosen = history.environment_of(ctx, site, env) if env else None
    found = snapshots.listing(ctx, site, chosen, before=before, limit=_SHOWN + 1)
    rows = found[:_SHOWN]
    try:
        keeps = snapshots.keeps(ctx, history.environment_of(ctx, site, PRODUCTION))
    except GitdeployError:  # nothing is live yet
        keeps = False
    return page.of_site(
        request, site, "data", "data.html", title=f"Data of {site.name}", env=env, keeps=keeps,
        snapshots=[views.snapshot(one) for one in rows], is_first=before >= 1 << 40,
        environments=[one.name for one in environments.listing(ctx, site)[:_PREVIEWS]],
        older=page.url("sites", site.name, "data", env=env, before=rows[-1].number) if len(found) > _SHOWN else "",
    )  # fmt: skip


@router.post("/sites/{site}/snapshots")
def take(request: Request, ctx: Ctx, visit: Seen, site: ThisSite, form: Sent) -> Response:
    env = history.environment_of(ctx, site, form.get("env"))
    back = page.url("sites", site.name, "data")

    def run(teller: Teller) -> dict[str, Any]:
        made = snapshots.take(
            ctx, visit.actor, env, teller, label=form.get("label"), pinned=form.ticked("pinned")
        )
        go = page.url("sites", site.name, "snapshots", made.name)
        return {"says": f"{made.name} is taken and proven.", "go": go, "label": f"See {made.name}"}

    return page.carried(request, site, "data", f"Snapshot of {env.name}", run, back)


@router.get("/sites/{site}/snapshots/{snapshot}")
def show(request: Request, ctx: Ctx, site: ThisSite, snapshot: str) -> Response:
    found = snapshots.find(ctx, site, snapshot)
    env = history.environment_of(ctx, site, found.env)
    previews = environments.listing(ctx, site, "preview")[:_PREVIEWS]
    return page.of_site(
        request, site, "data", "snapshot.html", title=f"Snapshot {found.name} of {site.name}",
        snapshot=views.snapshot(found), env=views.environment(ctx, env), previews=[one.name for one in previews],
        under_way=offer.under_way(ctx, env),
    )  # fmt: skip


@router.post("/sites/{site}/snapshots/{snapshot}/restore")
def restore(request: Request, ctx: Ctx, visit: Seen, site: ThisSite, snapshot: str, form: Sent) -> Response:
    """Over production or a named environment only for who has typed its name."""
    found = snapshots.find(ctx, site, snapshot)
    env = history.environment_of(ctx, site, form.get("env") or found.env)
    rehearse = form.get("do") == "rehearse"
    typed = form.get("confirm") == env.name
    body = Restore(
        env=env.name,
        code=form.ticked("code"),
        confirm=typed,
        reason=form.get("reason"),
        rehearse=rehearse,
    )
    try:
        run = restored(ctx, visit.actor, site, found, body)
    except Unconfirmed as error:
        raise Refused(error.message, f"Type {env.name} to say that you mean it.") from None
    back = page.url("sites", site.name, "snapshots", found.name)

    def act(teller: Teller) -> dict[str, Any]:
        result = run(teller)
        if "dry_run" in result or "findings" in result:
            says = "It went well on copies: nothing was changed."
            return {"says": says, "go": back, "label": f"Back to {found.name}"}
        name = result["release"]
        go = page.url("sites", site.name, "releases", name)
        return {
            "says": f"{env.name} has the data of {found.name}, as {name}.",
            "go": go,
            "label": f"See {name}",
        }

    return page.carried(request, site, "data", f"Restore {found.name} into {env.name}", act, back)


@router.post("/sites/{site}/snapshots/{snapshot}/pin")
def pin(ctx: Ctx, visit: Seen, site: ThisSite, snapshot: str, form: Sent) -> Response:
    found = snapshots.find(ctx, site, snapshot)
    snapshots.pin(ctx, visit.actor, site, found, form.ticked("pinned"))
    done = "pinned" if form.ticked("pinned") else "unpinned"
    return page.led("sites", site.name, "snapshots", found.name, done=done)


@router.post("/sites/{site}/snapshots/{snapshot}/remove", dependencies=SENT)
def remove(ctx: Ctx, visit: Seen, site: ThisSite, snapshot: str) -> Response:
    snapshots.remove(ctx, visit.actor, site, snapshots.find(ctx, site, snapshot))
    return page.led("sites", site.name, "data", done="removed")
