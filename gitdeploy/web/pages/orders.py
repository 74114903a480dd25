"""Promote, roll back, redeploy: first a page that says what would change and asks, then the order itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal

from fastapi import Request
from fastapi.responses import Response
from pydantic import ValidationError

from gitdeploy.domain import target as targets
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.schedule import moment
from gitdeploy.domain.site import Site
from gitdeploy.errors import GitdeployError, Invalid, NotFound
from gitdeploy.service import (
    approval,
    bad_commits,
    diff,
    freeze,
    history,
    migration,
    offer,
    pictures,
    snapshot,
)
from gitdeploy.service import schedule as schedules
from gitdeploy.service.context import Context
from gitdeploy.service.teller import Teller
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx
from gitdeploy.web.api.releases import ORDERS, Done, Order, ordered
from gitdeploy.web.pages import page
from gitdeploy.web.pages.asking import SENT, Form, Seen, Sent, ThisSite
from gitdeploy.web.pages.releases import asked
from gitdeploy.web.route import unlisted

router = unlisted()
_KINDS: tuple[Literal["changed"], Literal["added"], Literal["removed"]] = ("changed", "added", "removed")
_PATHS = 200
_TITLES = {"promote": "Promote to {env}", "rollback": "Roll {env} back", "redeploy": "Build {target} again"}


@router.get("/sites/{site}/promote")
def promote(
    request: Request, ctx: Ctx, visit: Seen, site: ThisSite, target: str, env: str = PRODUCTION
) -> Response:
    where = history.environment_of(ctx, site, env)
    commit, build = history.named(ctx, site, where.name, targets.parse(target))
    if build is None:
        raise NotFound(f"{target} is not a finished build.", "Promote it with git, which builds it first.")
    shown_on = history.shown_on(ctx, site, build.artifact or "", but=where.name)
    returning = [
        bad_commits.sentence(ctx, one) for one in bad_commits.returning(ctx, site, where.name, commit.id)
    ]
    return page.of_site(
        request, site, "deploys", "promote.html", title=f"Promote to {where.name}", build=views.build(build),
        message=commit.message.strip(), target=target, returning=returning,
        shown_on=[views.environment(ctx, one) for one in shown_on], pictures=pictures.of_build(ctx, site, build.id),
        why_not=offer.promote(ctx, visit.actor, site, where), **_common(ctx, site, where, target),
        approvals=[asked(visit.actor, one) for one in approval.listing(ctx, site)
                   if (one.env, one.commit, one.artifact) == (where.name, commit.id, build.artifact)],
        needed=approval.needed(ctx, site.name, where.name),
    )  # fmt: skip


@router.get("/sites/{site}/rollback")
def rollback(
    request: Request, ctx: Ctx, visit: Seen, site: ThisSite, target: str = "previous", env: str = PRODUCTION
) -> Response:
    where = history.environment_of(ctx, site, env)
    goal = history.find(ctx, site, where.name, targets.parse(target))
    schema, refused = offer.schema_between(ctx, where, goal)
    taken = migration.way_back(ctx, where, goal) if refused else None
    down, rehearsed = offer.way_down(ctx, where, goal) if refused else ("", None)
    return page.of_site(
        request, site, "deploys", "rollback.html", title=f"Roll {where.name} back to {goal.name}",
        goal=views.release(goal), target=goal.name, schema=schema, refused=refused, down=down,
        rehearsed=views.rehearsal(rehearsed) if rehearsed else None,
        snapshot=views.snapshot(taken) if taken else None, config=offer.config_between(ctx, where, goal),
        why_not=offer.rollback(ctx, visit.actor, site, where), **_common(ctx, site, where, goal.name),
    )  # fmt: skip


@router.get("/sites/{site}/redeploy")
def redeploy(
    request: Request, ctx: Ctx, visit: Seen, site: ThisSite, target: str = "live", env: str = PRODUCTION
) -> Response:
    where = history.environment_of(ctx, site, env)
    commit, _ = history.named(ctx, site, where.name, targets.parse(target))
    live = history.live_at(ctx, site, where.name)
    return page.of_site(
        request, site, "deploys", "redeploy.html", title=f"Build {commit.id[:7]} again", commit=commit, target=target,
        env=views.environment(ctx, where), live=views.release(live) if live else None,
        why_not=offer.promote(ctx, visit.actor, site, where),
    )  # fmt: skip


def _carried_out(verb: str) -> Callable[..., Response]:
    def carry_out(request: Request, ctx: Ctx, visit: Seen, site: ThisSite, form: Sent) -> Response:
        order = _order(form)
        run = ordered(ctx, visit.actor, site, verb, order)
        back = page.url("sites", site.name, verb, target=order.target, env=_unless(order.env))

        def act(teller: Teller) -> dict[str, Any]:
            return _outcome(site, run(teller))

        title = _TITLES[verb].format(env=order.env, target=order.target)
        return page.carried(request, site, "deploys", title, act, back)

    return carry_out


for _verb in ORDERS:
    router.add_api_route(f"/sites/{{site}}/{_verb}", _carried_out(_verb), methods=["POST"])


@router.post("/sites/{site}/schedules/{schedule}/cancel", dependencies=SENT)
def cancel(ctx: Ctx, visit: Seen, site: ThisSite, schedule: str) -> Response:
    schedules.cancel(ctx, visit.actor, site, schedule)
    return page.led("sites", site.name, done="canceled")


def _common(ctx: Context, site: Site, env: Environment, target: str) -> dict[str, Any]:
    """What both pages say: what is live, what would change, and whether there is data to be careful of."""
    live = history.live_at(ctx, site, env.name)
    try:
        change: diff.Prospect | None = diff.of(ctx, site, env.name, target)
    except GitdeployError:  # its files are no longer stored: it would be built again
        change = None
    keeps = live is not None and live.serves == "app" and snapshot.keeps(ctx, env)
    found = [(kind, change[kind]) for kind in _KINDS] if change else []
    counts = {kind: len(paths) for kind, paths in found}
    paths = [(kind, path) for kind, some in found for path in some]
    return {
        "env": views.environment(ctx, env), "live": views.release(live) if live else None, "counts": counts,
        "paths": paths[:_PATHS], "more_paths": max(len(paths) - _PATHS, 0), "known": change is not None,
        "change": change,
        "frozen": freeze.holding(ctx, site, env.name), "keeps_data": keeps, "url_of_env": ctx.url(site.name, env.label),
    }  # fmt: skip


def _order(form: Form) -> Order:
    at = form.get("at")
    down = form.get("do") == "down"
    try:
        return Order(
            target=form.get("target"), env=form.get("env") or PRODUCTION, reason=form.get("reason"),
            dry_run=form.get("do") == "check", rehearse=form.get("do") == "rehearse",
            rehearsal=form.get("rehearsal") if down else "",
            snapshot=form.ticked("snapshot"), force_schema=form.ticked("force_schema") and not down,
            no_cache=form.ticked("no_cache"), config="then" if form.get("config") == "then" else "",
            override_freeze=form.ticked("override_freeze"),
            at=moment(f"{at}Z" if re.search(r"T\d\d:\d\d(:\d\d)?$", at) else at) if at else "",
        )  # fmt: skip
    except ValidationError as error:
        first = error.errors()[0]
        raise Invalid(f"{first['loc'][0]}: {first['msg']}.", "Go back and mend it.") from None


def _outcome(site: Site, done: Done) -> dict[str, Any]:
    result: dict[str, Any] = {**done}
    name = result.get("release", "")
    if name:
        go, label = page.url("sites", site.name, "releases", name), f"See {name}"
        return {"says": f"{name} is live in {result['env']}.", "go": go, "label": label}
    if "at" in result:
        says = f"Scheduled for {result['at']}."
    elif "inputs" in result:
        says = f"Rehearsed as {result['id']}: nothing was changed."
    else:
        says = "All checks passed, and nothing was changed."
    return {"says": says, "go": page.url("sites", site.name), "label": "To the history"}


def _unless(env: str) -> str:
    return "" if env == PRODUCTION else env
