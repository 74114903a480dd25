from __future__ import annotations

from itertools import chain
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel

from gitdeploy.domain.names import PRODUCTION
from gitdeploy.service import processes
from gitdeploy.service.teller import Teller
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx, ThisSite, Who
from gitdeploy.web.stream import told

router = APIRouter(tags=["processes"])


class Counts(BaseModel):
    counts: dict[str, int]
    env: str = PRODUCTION


class Once(BaseModel):
    command: str
    env: str = PRODUCTION
    timeout: float = 3600


@router.get("/sites/{site}/processes")
def listing(ctx: Ctx, site: ThisSite, env: str = PRODUCTION) -> list[dict[str, Any]]:
    """What runs for the live release: each copy of each program."""
    return views.copies(processes.listing(ctx, site, env))


@router.post("/sites/{site}/scale")
def scale(ctx: Ctx, who: Who, site: ThisSite, body: Counts) -> list[dict[str, Any]]:
    """Run so many copies of a program, now and from now on."""
    return views.copies(processes.scale(ctx, who, site, body.env, body.counts))


@router.post("/sites/{site}/run")
def run(ctx: Ctx, who: Who, site: ThisSite, request: Request, body: Once) -> Response:
    """Run a shell line once beside the live release; `{code}`, null when it took longer than `timeout` seconds."""

    def act(teller: Teller) -> dict[str, Any]:
        return {"code": processes.run(ctx, who, site, body.env, body.command, body.timeout, teller)}

    return told(ctx, request, act)


@router.get("/sites/{site}/logs")
def logs(
    ctx: Ctx,
    who: Who,
    site: ThisSite,
    env: str = PRODUCTION,
    process: str = "",
    lines: int = 100,
    follow: bool = False,
) -> Response:
    """What the programs of an environment said last, as plain text; with `follow` also what they say from now on."""

    found = processes.tail(ctx, who, site, env, process, lines)
    coming = processes.follow(ctx, who, site, env, process) if follow else iter(())
    text = ("".join(f"{line}\n" for line in some) for some in chain([found], coming))
    return StreamingResponse(text, media_type="text/plain; charset=utf-8")
