"""What waited for its hour is carried out. What it was filed on is looked at again: rights, locks, freezes, and whether
anything else went live meanwhile. An order that no longer holds is refused, with a notice; none is tried twice.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from gitdeploy.domain import options as push_options
from gitdeploy.domain.refs import ZERO, Update
from gitdeploy.domain.role import Actor, Role, local_admin
from gitdeploy.domain.schedule import LATEST, Schedule, superseding
from gitdeploy.domain.site import Site
from gitdeploy.errors import Refused
from gitdeploy.service import access, freeze, order, release, schedule, trace
from gitdeploy.service.context import Context
from gitdeploy.service.journal import live_release
from gitdeploy.service.mishap import plainly
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock

log = logging.getLogger("gitdeploy.due")


def look(ctx: Context) -> None:
    """Carry out what is due. Each site's orders go one after the other, in the order of their hours."""
    for one in ctx.ledger.schedules.where(state="waiting", sql="at <= ?", given=(clock.now(),), order="at"):
        if ctx.queue.stopping.is_set():
            return
        _carry_out(ctx, one)


def finish(ctx: Context) -> None:
    """At start: what was under way is settled by the journal of its switch, and not begun again."""
    for one in ctx.ledger.schedules.where(state="running"):
        if one.verb == "clone":
            made = ctx.ledger.moves.one(site=one.site, target=one.env, state="completed", order="id DESC")
            done = made is not None and made.created_at > one.at and made.reason == _reason(one)
            schedule.end(ctx, one, *(("done", "done") if done else ("refused", "interrupted")))
            continue
        live = live_release(ctx, one.site, one.env)
        done = live is not None and live.number > one.live and live.reason == _reason(one)
        schedule.end(
            ctx, one, *(("done", f"{live.name} is live") if done and live else ("refused", "interrupted"))
        )


# Private


def _carry_out(ctx: Context, one: Schedule) -> None:
    with trace.of(one.id):
        _try(ctx, one)


def _try(ctx: Context, one: Schedule) -> None:
    with ctx.ledger.atomic():
        now = ctx.ledger.schedules.get(one.id)
        if now is None or now.state != "waiting":
            return  # canceled just now
        one = ctx.ledger.schedules.change(now, state="running")
    teller = Teller()
    try:
        site = ctx.site(one.site)
        actor = local_admin(one.actor) if one.local else access.by_name(ctx, one.actor)
        _refuse_stale(ctx, one)
        made = _act(ctx, actor, site, one, teller)
    except Exception as error:
        told = plainly(error, f"the schedule {one.id} of {one.site}")
        log.error("%s %s: %s is refused: %s", one.site, one.env, one.order, told.message)
        schedule.end(ctx, one, "refused", told.message)
        return
    schedule.end(ctx, one, "done", f"{made} is live" if made else "done")


def _act(ctx: Context, actor: Actor, site: Site, one: Schedule, teller: Teller) -> str:
    """Through the same checks as when it is pushed; the name of the release that came of it, if one did."""
    options = push_options.parse([*json.loads(one.options), *_why(one)])
    if one.verb == "push":
        actor.need(Role.MAINTAINER, site.name, f"change {one.env}", one.env)
        freeze.allow(ctx, actor, site, one.env, options)
        update = Update(ctx.repository(site.name).ref(one.ref) or ZERO, one.commit, one.ref)
        return release.deploy(ctx, actor, site, one.env, update, options, teller, lambda: False).name
    order.allow(ctx, actor, site, one.verb, one.target, options)
    moved = order.carry_out(ctx, actor, site, one.verb, one.target, options, teller, lambda: False)
    return moved.ref.rpartition("/")[2] if moved else ""


def _why(one: Schedule) -> list[str]:
    said = json.loads(one.options)
    return [] if any(text.startswith("reason=") for text in said) else [f"reason={_reason(one)}"]


def _reason(one: Schedule) -> str:
    return next(
        (text[7:] for text in json.loads(one.options) if text.startswith("reason=")), f"scheduled: {one.id}"
    )


def _refuse_stale(ctx: Context, one: Schedule) -> None:
    late = datetime.now(UTC) - datetime.fromisoformat(one.at)
    if late.total_seconds() > LATEST:
        raise Refused(f"The server was not running at {one.at}.", "Schedule it again.")
    served = ctx.ledger.releases.where(site=one.site, env=one.env, sql="number > ?", given=(one.live,))
    other = superseding(served, one.live)
    if other is not None:
        raise Refused(
            f"{other.name} ({other.kind} by {other.actor}) went live in {one.env} after this was scheduled.",
            "Look at what is live now, and schedule it again.",
        )
