"""Incidents: what happened, what people write of it, and the gate that says when it is over."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response

from gitdeploy.errors import GitdeployError
from gitdeploy.service import incident, incident_advice
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx
from gitdeploy.web.pages import page
from gitdeploy.web.pages.asking import Seen, Sent, ThisSite
from gitdeploy.web.route import unlisted

router = unlisted()
_SHOWN = 30


@router.get("/sites/{site}/incidents")
def listing(request: Request, ctx: Ctx, visit: Seen, site: ThisSite, before: int = 1 << 40) -> Response:
    found = incident.listing(ctx, visit.actor, site, before=before, limit=_SHOWN + 1)
    rows = found[:_SHOWN]
    try:
        advice = views.advice(incident_advice.advise(ctx, visit.actor, site))
    except GitdeployError:  # nothing is live yet
        advice = None
    return page.of_site(
        request, site, "incidents", "incidents.html", title=f"Incidents of {site.name}", advice=advice,
        incidents=[views.incident(one) for one in rows], is_first=before >= 1 << 40,
        older=page.url("sites", site.name, "incidents", before=rows[-1].number) if len(found) > _SHOWN else "",
    )  # fmt: skip


@router.get("/sites/{site}/incidents/{number}")
def show(request: Request, ctx: Ctx, visit: Seen, site: ThisSite, number: int) -> Response:
    found = views.incident(incident.find(ctx, visit.actor, site, number))
    return page.of_site(
        request, site, "incidents", "incident.html", title=f"Incident {number} of {site.name}", incident=found
    )


@router.post("/sites/{site}/incidents/{number}")
def edit(ctx: Ctx, visit: Seen, site: ThisSite, number: int, form: Sent) -> Response:
    """The note, if it is still the one that was shown, and boxes that somebody ticks."""
    found = incident.find(ctx, visit.actor, site, number)
    text = form.raw("text")
    changed = text if text.strip() != form.raw("was").strip() else None
    ticks = [one for one in form.all("tick") if one not in found.ticked]
    if changed is not None or ticks:
        was = found.text if found.text.strip() == form.raw("was").strip() else form.raw("was")
        incident.edit(ctx, visit.actor, site, number, text=changed, was=was if changed else None, ticks=ticks)
    if form.get("do") == "close":
        incident.close(ctx, visit.actor, site, number)
        return page.led("sites", site.name, "incidents", str(number), done="closed")
    return page.led("sites", site.name, "incidents", str(number), done="saved")
