from __future__ import annotations

from pydantic import BaseModel

from gitdeploy.domain.incident import Incident
from gitdeploy.service import incident, incident_advice
from gitdeploy.service.context import Context
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx, ThisSite, Who
from gitdeploy.web.api.conditional import If
from gitdeploy.web.api.paging import Number, Paged
from gitdeploy.web.api.route import noun
from gitdeploy.web.shapes import releases as shapes

router = noun("incident")


class IncidentChange(BaseModel):
    text: str | None = None
    was: str | None = None
    tick: list[str] = []


@router.get("/sites/{site}/incidents")
def listing(
    ctx: Ctx, who: Who, site: ThisSite, page: Paged, before: Number = 1 << 40
) -> list[shapes.Incident]:
    """The incidents of a site, newest first; `before` is the number of the last one already seen."""
    found = incident.listing(ctx, who, site, before=before, limit=page.enough)
    return [_view(ctx, one) for one in page.of(found, lambda one: one.number)]


@router.get("/sites/{site}/incident")
def show(ctx: Ctx, who: Who, site: ThisSite, number: Number | None = None) -> shapes.Incident:
    """An incident by its number, or the newest open one: gate, facts, note."""
    return _view(ctx, incident.find(ctx, who, site, number))


@router.patch("/sites/{site}/incident")
def edit(
    ctx: Ctx, who: Who, site: ThisSite, body: IncidentChange, expected: If, number: Number | None = None
) -> shapes.Incident:
    """Replace the note, if it still is what it `was`, and tick boxes of the gate."""
    expect = expected.of(lambda: _view(ctx, incident.find(ctx, who, site, number)))
    changed = incident.edit(
        ctx, who, site, number, text=body.text, was=body.was, ticks=body.tick, expect=expect
    )
    return _view(ctx, changed)


@router.post("/sites/{site}/incident/close")
def close(ctx: Ctx, who: Who, site: ThisSite, expected: If, number: Number | None = None) -> shapes.Incident:
    """Close an incident; refused while a box of its gate is open."""
    expect = expected.of(lambda: _view(ctx, incident.find(ctx, who, site, number)))
    return _view(ctx, incident.close(ctx, who, site, number, expect))


@router.get("/sites/{site}/incident/advice")
def advice(ctx: Ctx, who: Who, site: ThisSite) -> shapes.Advice:
    """The site is broken: what changed last in production, and the one command to run next."""
    return views.advice(incident_advice.advise(ctx, who, site))


def _view(ctx: Context, found: Incident) -> shapes.Incident:
    return views.incident(found, incident.also_open(ctx, found))
