from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from gitdeploy.domain.incident import Incident
from gitdeploy.service import incident, incident_advice
from gitdeploy.service.context import Context
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx, ThisSite, Who

router = APIRouter(tags=["incident"])


class Change(BaseModel):
    text: str | None = None
    was: str | None = None
    tick: list[str] = []


@router.get("/sites/{site}/incident")
def show(ctx: Ctx, who: Who, site: ThisSite, number: int | None = None) -> dict[str, Any]:
    """An incident by its number, or the newest open one: gate, facts, note."""
    return _view(ctx, incident.find(ctx, who, site, number))


@router.patch("/sites/{site}/incident")
def edit(ctx: Ctx, who: Who, site: ThisSite, body: Change, number: int | None = None) -> dict[str, Any]:
    """Replace the note, if it still is what it `was`, and tick boxes of the gate."""
    return _view(ctx, incident.edit(ctx, who, site, number, text=body.text, was=body.was, ticks=body.tick))


@router.post("/sites/{site}/incident/close")
def close(ctx: Ctx, who: Who, site: ThisSite, number: int | None = None) -> dict[str, Any]:
    """Close an incident; refused while a box of its gate is open."""
    return _view(ctx, incident.close(ctx, who, site, number))


@router.get("/sites/{site}/incident/advice")
def advice(ctx: Ctx, who: Who, site: ThisSite) -> dict[str, Any]:
    """The site is broken: what changed last in production, and the one command to run next."""
    return views.advice(incident_advice.advise(ctx, who, site))


def _view(ctx: Context, found: Incident) -> dict[str, Any]:
    return views.incident(found, incident.also_open(ctx, found))
