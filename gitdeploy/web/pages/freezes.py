"""Freezes and approvals: when nothing goes live, and who lets it."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import Response

from gitdeploy.errors import NotFound
from gitdeploy.service import approval as approvals
from gitdeploy.service import freeze as freezes
from gitdeploy.service import history
from gitdeploy.service.teller import Teller
from gitdeploy.web.api.asking import Ctx
from gitdeploy.web.pages import page
from gitdeploy.web.pages.asking import Seen, Sent, ThisSite
from gitdeploy.web.route import unlisted

router = unlisted()


@router.post("/sites/{site}/freezes")
def add(ctx: Ctx, visit: Seen, site: ThisSite, form: Sent) -> Response:
    env = history.environment_of(ctx, site, form.get("env"))
    begins, ends = (f"{one}Z" if one else "" for one in (form.get("from"), form.get("until")))
    freezes.add(ctx, visit.actor, site, env, begins, ends, form.get("reason"))
    return page.led("sites", site.name, "settings", done="added")


@router.post("/sites/{site}/freezes/remove")
def remove(ctx: Ctx, visit: Seen, site: ThisSite, form: Sent) -> Response:
    freezes.remove(ctx, visit.actor, site, form.get("freeze"))
    return page.led("sites", site.name, "settings", done="removed")


@router.post("/sites/{site}/approvals/{id}")
def decide(request: Request, ctx: Ctx, visit: Seen, site: ThisSite, id: str, form: Sent) -> Response:
    """Approve, or reject with a reason."""
    found = approvals.find_for(ctx, visit.actor, id)
    if found.site != site.name:
        raise NotFound(f"{site.name} has no approval {id[:40]!r}.", "It may be over.")
    if form.get("do") == "reject":
        approvals.reject(ctx, visit.actor, found, form.get("reason"))
        return page.led("sites", site.name, done="saved")
    back = page.url("sites", site.name)

    def run(teller: Teller) -> dict[str, Any]:
        approvals.vote(ctx, visit.actor, found, teller)
        return {"says": "It is approved.", "go": back, "label": "To the deploys"}

    return page.carried(request, site, "deploys", f"Approve {found.commit[:7]}", run, back)
