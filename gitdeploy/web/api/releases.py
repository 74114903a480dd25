from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from fastapi import Request
from pydantic import BaseModel

from gitdeploy.domain import target as targets
from gitdeploy.domain.length import REASON_MAX
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.options import Options, checked
from gitdeploy.domain.release import Release
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.schedule import moment
from gitdeploy.domain.site import Site
from gitdeploy.domain.target import Target
from gitdeploy.service import diff as diffs
from gitdeploy.service import freeze, history, pictures, rollback, serving
from gitdeploy.service import order as orders
from gitdeploy.service import release as releases
from gitdeploy.service import schedule as schedules
from gitdeploy.service.context import Context
from gitdeploy.service.diff import Prospect
from gitdeploy.service.rehearsal import Rehearsed
from gitdeploy.service.release import Ask
from gitdeploy.service.serving import Verified
from gitdeploy.service.teller import Teller
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx, Reason, ThisSite, Who, up_to
from gitdeploy.web.api.paging import Number, Paged
from gitdeploy.web.api.route import Png, noun
from gitdeploy.web.shapes import releases as shapes
from gitdeploy.web.shapes.data import Rehearsal
from gitdeploy.web.stream import Told, Verb, told

router = noun("releases")
Done = shapes.Release | shapes.Schedule | shapes.DryRun | Rehearsal
"""What comes of an order: it is done, filed, or only tried."""


class Order(BaseModel):
    target: str = ""
    env: str = PRODUCTION
    reason: Reason = up_to(REASON_MAX)
    dry_run: bool = False
    no_cache: bool = False
    config: Literal["", "now", "then"] = ""
    snapshot: bool = False
    force_schema: bool = False
    at: str = ""
    rehearse: bool = False
    rehearsal: str = ""
    override_freeze: bool = False


class Look(BaseModel):
    target: str = ""
    env: str = PRODUCTION


@router.get("/sites/{site}/releases")
def listing(
    ctx: Ctx, site: ThisSite, page: Paged, env: str = "", before: Number = 1 << 40, all: bool = False
) -> list[shapes.Release]:
    """What served, newest first; `before` is the number of the last one already seen."""
    found = history.listing(ctx, site, env=env, limit=page.enough, before=before, all=all)
    return [views.release(one) for one in page.of(found, lambda one: one.number)]


@router.get("/sites/{site}/live")
def live(ctx: Ctx, site: ThisSite, env: str = PRODUCTION, at: str = "") -> shapes.Release | None:
    """What an environment serves now, or served at a time; null for nothing."""
    found = history.live_at(ctx, site, env, at)
    return views.release(found) if found else None


@router.get("/sites/{site}/diff")
def diff(ctx: Ctx, site: ThisSite, target: str = "", env: str = PRODUCTION) -> Prospect:
    """What going live with a target would change: paths, pages, rules, settings, configuration, databases."""
    return diffs.of(ctx, site, env, target)


@router.post("/sites/{site}/pictures")
def picture(ctx: Ctx, who: Who, site: ThisSite, request: Request, body: Look) -> Told[shapes.Pictures]:
    """Take pictures of the pages that going live with a target would change, as they are and as they would be."""
    return told(
        ctx, request,
        lambda teller: views.pictures(pictures.take(ctx, who, site, body.env, body.target, teller)),
    )  # fmt: skip


@router.get("/sites/{site}/pictures")
def all_pictured(ctx: Ctx, site: ThisSite, page: Paged, before: str = "~") -> list[shapes.Pictures]:
    """What pictures were taken of, newest first; `before` is the id of the last one already seen."""
    found = pictures.listing(ctx, site, before=before, limit=page.enough)
    return [views.pictures(one) for one in page.of(found, lambda one: one.id)]


@router.get("/sites/{site}/pictures/{id}")
def pictured(ctx: Ctx, site: ThisSite, id: str) -> shapes.Pictures:
    """Which pages were taken, by id, by build, or `latest`."""
    return views.pictures(pictures.find(ctx, site, id))


@router.get("/sites/{site}/pictures/{id}/{number}/{side}")
def png(ctx: Ctx, site: ThisSite, id: str, number: int, side: Literal["live", "candidate"]) -> Png:
    """One picture, as PNG."""
    return Png(pictures.png(ctx, pictures.find(ctx, site, id), number, side))


@router.post("/sites/{site}/verify")
def verify(
    ctx: Ctx, site: ThisSite, request: Request, release: str = "", env: str = PRODUCTION
) -> Told[Verified]:
    """Read every byte of a release again and check its signature and provenance."""

    def run(teller: Teller) -> Verified:
        chosen = history.live_at(ctx, site, env) if not release else None
        chosen = chosen or history.find(ctx, site, env, targets.parse(release))
        return serving.verify(ctx, chosen, teller)

    return told(ctx, request, run)


@router.post("/sites/{site}/releases/{release}/pin")
def pin(ctx: Ctx, who: Who, site: ThisSite, release: str, pinned: bool = True) -> shapes.Release:
    """A pinned release keeps its bytes whatever retention says."""
    return views.release(history.pin(ctx, who, site, targets.parse(release), pinned))


def _options(body: Order) -> Options:
    return Options(
        reason=body.reason, env=body.env, config=body.config, at=moment(body.at) if body.at else "",
        rehearsal=body.rehearsal, override_freeze=body.override_freeze,
        dry_run=body.dry_run, no_cache=body.no_cache, snapshot=body.snapshot, force_schema=body.force_schema,
        rehearse=body.rehearse,
    )  # fmt: skip


@router.get("/sites/{site}/schedules")
def scheduled(
    ctx: Ctx, site: ThisSite, page: Paged, all: bool = False, after: str = ""
) -> list[shapes.Schedule]:
    """What waits for its hour, the next one first; with `all` also what came of the others. `after` is the id of the
    last one already seen.
    """
    found = schedules.listing(ctx, site, all=all, after=after, limit=page.enough)
    return [views.schedule(one) for one in page.of(found, lambda one: one.id, "after")]


@router.post("/sites/{site}/schedules/{schedule}/cancel")
def cancel(ctx: Ctx, who: Who, site: ThisSite, schedule: str) -> shapes.Schedule:
    """Take back what waits for its hour."""
    return views.schedule(schedules.cancel(ctx, who, site, schedule))


def ordered(ctx: Context, who: Actor, site: Site, verb: str, body: Order) -> Verb[Done]:
    """What carries out an order for whoever may give it. Raises Refused, Invalid."""
    act, default, _says = ORDERS[verb]
    env = history.environment_of(ctx, site, body.env)
    who.need(Role.MAINTAINER, site.name, f"{verb} {env.name}", env.name)
    options = checked(_options(body))
    if verb != "rollback":
        freeze.allow(ctx, who, site, env.name, options)
    ask_for = body.target or default

    def run(teller: Teller) -> Done:
        ask = Ask(
            who.name, site, body.env, body.reason, body.dry_run, body.no_cache, body.config,
            body.snapshot, body.force_schema, body.rehearse, body.rehearsal,
            body.override_freeze, teller=teller,
        )  # fmt: skip
        try:
            if body.at:
                return views.schedule(orders.file(ctx, who, site, verb, ask_for, options, teller))
            return views.release(act(ctx, ask, targets.parse(ask_for)))
        except releases.DryRun as done:
            return {"dry_run": True, "message": done.message}
        except Rehearsed as done:
            return views.rehearsed(done, teller)

    return run


ORDERS: dict[str, tuple[Callable[[Context, Ask, Target], Release], str, str]] = {
    "promote": (releases.promote, "", "A build, branch, tag or commit goes live as it was built."),
    "rollback": (rollback.rollback, "previous", "A release that served before is live again."),
    "redeploy": (releases.redeploy, "live", "A fresh build of the same commit goes live."),
}
"""Of each verb: what carries it out, what it means without a target, and what it is."""


def _route(verb: str) -> Callable[..., Told[Done]]:
    def order(ctx: Ctx, who: Who, site: ThisSite, request: Request, body: Order) -> Told[Done]:
        return told(ctx, request, ordered(ctx, who, site, verb, body))

    return order


for _verb, (_act, _default, _says) in ORDERS.items():
    router.add_api_route(
        f"/sites/{{site}}/{_verb}", _route(_verb), methods=["POST"], name=_verb,
        description=f"{_says} Answers when it is live, or says why it is not. With `at` it is checked and filed.",
    )  # fmt: skip
