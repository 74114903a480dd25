from __future__ import annotations

from gitdeploy.domain.role import Role
from gitdeploy.service import history
from gitdeploy.service import rehearsal as rehearsals
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx, ThisSite, Who
from gitdeploy.web.api.paging import Paged
from gitdeploy.web.api.route import noun
from gitdeploy.web.shapes import data as shapes

router = noun("rehearsals")


@router.get("/sites/{site}/rehearsals")
def listing(
    ctx: Ctx, who: Who, site: ThisSite, page: Paged, env: str = "", before: str = "~"
) -> list[shapes.Rehearsal]:
    """What was rehearsed on copies, newest first; `before` is the id of the last one already seen."""
    who.need(Role.DEVELOPER, site.name, "see its rehearsals")
    chosen = history.environment_of(ctx, site, env) if env else None
    found = rehearsals.listing(ctx, site, chosen, before=before, limit=page.enough)
    return [views.rehearsal(one) for one in page.of(found, lambda one: one.id)]


@router.get("/sites/{site}/rehearsals/{rehearsal}")
def show(ctx: Ctx, who: Who, site: ThisSite, rehearsal: str) -> shapes.Rehearsal:
    """One rehearsal, by its id, the digest of its inputs, or `latest`: what it depends on and what it found."""
    who.need(Role.DEVELOPER, site.name, "see its rehearsals")
    return views.rehearsal(rehearsals.find(ctx, site, rehearsal))
