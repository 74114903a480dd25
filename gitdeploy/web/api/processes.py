from __future__ import annotations

from itertools import chain

from fastapi import Request
from pydantic import BaseModel

from gitdeploy.domain.names import PRODUCTION
from gitdeploy.service import processes
from gitdeploy.service.teller import Teller
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx, ThisSite, Who
from gitdeploy.web.api.route import noun
from gitdeploy.web.shapes import sites as shapes
from gitdeploy.web.stream import Text, Told, text, told

router = noun("processes")


class Counts(BaseModel):
    counts: dict[str, int]
    env: str = PRODUCTION


class Once(BaseModel):
    command: str
    env: str = PRODUCTION
    timeout: float = 3600


@router.get("/sites/{site}/processes")
def listing(ctx: Ctx, site: ThisSite, env: str = PRODUCTION) -> list[shapes.Copy]:
    """What runs for the live release: each copy of each program."""
    return views.copies(processes.listing(ctx, site, env))


@router.post("/sites/{site}/scale")
def scale(ctx: Ctx, who: Who, site: ThisSite, body: Counts) -> list[shapes.Copy]:
    """Run so many copies of a program, now and from now on."""
    return views.copies(processes.scale(ctx, who, site, body.env, body.counts))


@router.post("/sites/{site}/run")
def run(ctx: Ctx, who: Who, site: ThisSite, request: Request, body: Once) -> Told[shapes.RunEnded]:
    """Run a shell line once beside the live release; `{code}`, null when it took longer than `timeout` seconds."""

    def act(teller: Teller) -> shapes.RunEnded:
        return {"code": processes.run(ctx, who, site, body.env, body.command, body.timeout, teller)}

    return told(ctx, request, act)


@router.get("/sites/{site}/logs")
def logs(
    ctx: Ctx,
    who: Who,
    site: ThisSite,
    request: Request,
    env: str = PRODUCTION,
    process: str = "",
    lines: int = 100,
    follow: bool = False,
) -> Text:
    """What the programs of an environment said last, as plain text; with `follow` also what they say from now on."""

    found = processes.tail(ctx, who, site, env, process, lines)
    coming = processes.follow(ctx, who, site, env, process) if follow else iter(())
    return text(request, ("".join(f"{line}\n" for line in some).encode() for some in chain([found], coming)))
