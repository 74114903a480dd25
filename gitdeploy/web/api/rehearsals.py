from __future__ import annotations

from gitdeploy.domain.role import Role
from gitdeploy.service import history
from gitdeploy.service import rehearsal as rehearsals
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx, ThisSite, Who
from gitdeploy.web.api.route import noun
from gitdeploy.web.shapes import data as shapes

router = noun("rehearsals")


@router.get("/sites/{site}/rehearsals")
def listing(ctx: Ctx, who: Who, site: ThisSite, env: str = "", limit: int = 50) -> list[shapes.Rehearsal]:
    """What was rehearsed on copies, newest first."""
    who.need(Role.DEVELOPER, site.name, "see its rehearsals")
    chosen = history.environment_of(ctx, site, env) if env else None
    return [views.rehearsal(one) for one in rehearsals.listing(ctx, site, chosen, max(1, min(limit, 500)))]


@router.get("/sites/{site}/rehearsals/{rehearsal}")
def show(ctx: Ctx, who: Who, site: ThisSite, rehearsal: str) -> shapes.Rehearsal:
    """One rehearsal, by its id, the digest of its inputs, or `latest`: what it depends on and what it found."""
    who.need(Role.DEVELOPER, site.name, "see its rehearsals")
    return views.rehearsal(rehearsals.find(ctx, site, rehearsal))
