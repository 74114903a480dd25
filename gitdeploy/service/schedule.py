"""Orders that wait for their hour: filed, listed, canceled. `due` carries them out."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from gitdeploy.domain.options import Options
from gitdeploy.domain.refs import ZERO, Update
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.schedule import Schedule
from gitdeploy.domain.site import Site
from gitdeploy.errors import GitdeployError, Invalid, NotFound
from gitdeploy.git.transaction import RefTransaction
from gitdeploy.service.context import Context
from gitdeploy.service.journal import live_release
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock, ids

log = logging.getLogger("gitdeploy.schedule")
_FARTHEST = timedelta(days=366)


def file(
    ctx: Context, actor: Actor, site: Site, verb: str, target: str, options: Options, teller: Teller,
    *, env: str, update: Update | None = None,
) -> Schedule:  # fmt: skip
    """Write an order down for `options.at`. The caller has checked that it would be carried out now."""
    _refuse_moment(options.at)
    live = live_release(ctx, site.name, env)
    rest = [one for one in options.as_list() if not one.startswith("at=")]
    filed = Schedule(
        id=ids.new("sch"), site=site.name, env=env, verb=verb, target=target, options=json.dumps(rest),
        actor=actor.name, local=actor.local, at=options.at,
        created_at=clock.now(), live=live.number if live else 0, ref=update.ref if update else "",
        commit=update.new if update else "",
    )  # fmt: skip
    if update is not None:  # its commit is on no branch yet
        with RefTransaction(ctx.repository(site.name), [Update(ZERO, update.new, _ref(filed))]) as refs:
            refs.commit()
    with ctx.ledger.atomic():
        ctx.ledger.schedules.add(filed)
        ctx.event("schedule.filed", actor=actor.name, site=site.name, env=env, subject=filed.id,
                  data={"order": filed.order, "at": filed.at})  # fmt: skip
    teller.done(f"{filed.order} is scheduled for {filed.at}: {filed.id}")
    teller.detail(f"to take it back: git push managed HEAD:cancel/{filed.id}")
    return filed


def listing(
    ctx: Context, site: Site, *, all: bool = False, after: str = "", limit: int = -1
) -> list[Schedule]:
    """The next one first; with `all` those that ended too. `after` is the id of the last one already seen."""
    where: dict[str, Any] = {} if all else {"state": "waiting"}
    seen = "(at, id) > (SELECT at, id FROM schedules WHERE id = ?)" if after else ""
    return ctx.ledger.schedules.where(
        site=site.name, order="at, id", limit=limit, sql=seen, given=(after,) if after else (), **where
    )


def cancel(ctx: Context, actor: Actor, site: Site, id: str) -> Schedule:
    """`id`, or an ending of it that no other has. Who filed it may always take it back; others need maintainer."""
    with ctx.ledger.atomic():
        found = [one for one in listing(ctx, site) if one.id.lower().endswith(id.lower())]
        if len(found) != 1:
            what = f"{len(found)} schedules that end in" if found else "no waiting schedule"
            raise NotFound(
                f"{site.name} has {what} {id[:40]!r}.", f"See: gitdeploy schedule list {site.name}"
            )
        (one,) = found
        actor.need(Role.DEVELOPER if actor.name == one.actor else Role.MAINTAINER, site.name, "cancel it")
        return end(ctx, one, "canceled", f"canceled by {actor.name}", actor.name)


def answer(filed: Schedule) -> Update:
    """The ref that came of a push that was filed."""
    return Update(ZERO, filed.commit, _ref(filed))


def end(ctx: Context, one: Schedule, state: str, said: str, actor: str = "gitdeploy") -> Schedule:
    with ctx.ledger.atomic():
        ctx.event(f"schedule.{state}", actor=actor, site=one.site, env=one.env, subject=one.id,
                  data={"order": one.order, "by": one.actor, "said": said})  # fmt: skip
        ended = ctx.ledger.schedules.change(one, state=state, said=said, ended_at=clock.now())
    if one.commit:
        _forget_ref(ctx, one)
    return ended


# Private


def _forget_ref(ctx: Context, one: Schedule) -> None:
    try:
        with RefTransaction(ctx.repository(one.site), [Update(one.commit, ZERO, _ref(one))]) as refs:
            refs.commit()
    except GitdeployError as error:  # it keeps a commit, no more
        log.warning("%s: %s stays: %s", one.site, _ref(one), error.message)


def _refuse_moment(at: str) -> None:
    moment, now = datetime.fromisoformat(at), datetime.now(UTC)
    if not now < moment <= now + _FARTHEST:
        raise Invalid(f"{at} is not within the coming year.", f"It is {clock.text(now)} now.")


def _ref(one: Schedule) -> str:
    return f"refs/schedules/{one.id}"
