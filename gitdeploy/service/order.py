"""Command refs: `rollback/r41`, `promote/<build>`, `redeploy/r41`, `cancel/<build>`, `snapshot/<env>`,
`restore/<snapshot>`, `clone/<env>/<env>`, `cutover/<preview>`, `approve/<id>`, `reject/<id>`, as pushed by git.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

from gitdeploy.domain import approval as approvals
from gitdeploy.domain import target as targets
from gitdeploy.domain.move import Chosen
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.options import Options
from gitdeploy.domain.refs import ZERO as NOTHING
from gitdeploy.domain.refs import Update
from gitdeploy.domain.release import Release
from gitdeploy.domain.role import SOMEWHERE, Actor, Role
from gitdeploy.domain.schedule import VERBS, Schedule
from gitdeploy.domain.site import Site
from gitdeploy.errors import Invalid
from gitdeploy.service import (
    approval,
    build,
    cutover,
    cutover_plan,
    cutover_run,
    freeze,
    history,
    move,
    release,
    restore,
    rollback,
    schedule,
    snapshot,
)
from gitdeploy.service.context import Context
from gitdeploy.service.move_end import Source
from gitdeploy.service.release import Ask, DryRun
from gitdeploy.service.teller import Teller

SCHEDULE, CUTOVER = "sch_", "cut_"
_OF_DEVELOPERS = ("cancel", "snapshot", "restore", "clone", "cutover", "approve", "reject")
"""What these may do where is decided by the verb itself."""
_STOPPED = ("promote", "redeploy", "restore", "clone", "cutover")
"""What a freeze stops."""
_REHEARSED = ("promote", "redeploy", "rollback", "restore", "clone", "cutover")


def allow(ctx: Context, actor: Actor, site: Site, verb: str, target: str, options: Options) -> None:
    """Every cheap reason to refuse an order."""
    least = Role.DEVELOPER if verb in _OF_DEVELOPERS else Role.MAINTAINER
    actor.need(
        least, site.name, verb if verb in _OF_DEVELOPERS else f"{verb} {options.env or PRODUCTION}", SOMEWHERE
    )
    if options.detach or options.skip:
        raise Invalid(f"{verb}/{target} is carried out at once.", "Push it without -o detach and -o skip.")
    if options.at and verb not in VERBS:
        raise Invalid(f"{verb}/{target} is carried out at once.", "Push it without -o at.")
    if options.config and verb != "rollback":
        raise Invalid("Only a rollback chooses its configuration.", "Push without -o config.")
    if options.env and verb == "clone":
        raise Invalid("clone/<from>/<to> names both environments.", "Push without -o env.")
    if (options.rehearse or options.rehearsal) and verb not in _REHEARSED:
        raise Invalid(f"{verb}/{target} is not rehearsed.", "Push it without -o rehearse and -o rehearsal.")
    if options.ticket and verb not in ("cutover", "approve"):
        raise Invalid(f"{verb}/{target} has no ticket.", "Push it without -o ticket.")
    if options.override_freeze and verb not in _STOPPED:
        raise Invalid(f"{verb}/{target} meets no freeze.", "Push it without -o override-freeze.")
    match verb:
        case "cutover" | "approve" | "reject" if options.env:
            raise Invalid("A cutover goes to production.", "Push it without -o env.")
        case "approve" | "reject" if target.startswith(approvals.PREFIX):
            approval.find(ctx, site, target)
        case "approve" | "reject":
            cutover.find(ctx, site, target)
        case "snapshot":
            history.environment_of(ctx, site, target)
        case "restore":
            taken = snapshot.find(ctx, site, target)
            env = history.environment_of(ctx, site, options.env or taken.env)
            restore.allow(
                ctx, actor, site, env, taken, confirmed=bool(options.reason), rehearsed=options.rehearse
            )
            freeze.allow(ctx, actor, site, env.name, options)
        case "clone":
            _, into = move.between(ctx, site, target)
            move.allow(
                actor, site, into, confirmed=bool(options.reason), dry_run=options.dry_run or options.rehearse
            )
            freeze.allow(ctx, actor, site, into.name, options)
        case "rollback" | "promote" | "redeploy":
            targets.parse(target)
            env = history.environment_of(ctx, site, options.env)
            actor.need(least, site.name, f"{verb} {env.name}", env.name)
            if verb in _STOPPED:
                freeze.allow(ctx, actor, site, env.name, options)


def carry_out(
    ctx: Context,
    actor: Actor,
    site: Site,
    verb: str,
    target: str,
    options: Options,
    teller: Teller,
    gone: Callable[[], bool],
    *,
    pushed: str = "",
) -> Update | None:
    """Returns the ref that moved in the end, which the client shows; None when none did. `pushed` is the id of the
    object that git sent.
    """
    stop = gone if options.cancel_on_hangup else (lambda: False)
    ask = Ask(
        actor=actor.name, site=site, env=options.env or PRODUCTION, reason=options.reason,
        dry_run=options.dry_run, no_cache=options.no_cache, config=options.config,
        snapshot=options.snapshot, force_schema=options.force_schema, rehearse=options.rehearse,
        rehearsal=options.rehearsal, override_freeze=options.override_freeze, at=options.at, teller=teller, gone=stop,
    )  # fmt: skip
    match verb:
        case "rollback":
            made = rollback.rollback(ctx, ask, targets.parse(target))
        case "promote":
            made = release.promote(ctx, ask, targets.parse(target))
        case "redeploy":
            made = release.redeploy(ctx, ask, targets.parse(target))
        case "snapshot":
            env = history.environment_of(ctx, site, target)
            snapshot.take(ctx, actor, env, teller, label=options.reason)
            return None
        case "restore":
            taken = snapshot.find(ctx, site, target)
            made = restore.restore(ctx, replace(ask, env=options.env or taken.env), taken)
        case "clone":
            source, into = move.between(ctx, site, target)
            _clone(ctx, replace(ask, env=into.name), source, options)
            return None
        case "cutover":
            found = _cutover(ctx, actor, ask, target, options)
            if found is None:
                return None
            made = found
        case "approve" if target.startswith(approvals.PREFIX):
            asked = approval.find(ctx, site, target)
            if not pushed or not approval.vote_by_tag(ctx, site, asked, pushed, teller):
                approval.vote(ctx, actor, asked, teller)
            return None
        case "reject" if target.startswith(approvals.PREFIX):
            approval.reject(ctx, actor, approval.find(ctx, site, target), options.reason)
            return None
        case "approve":
            row = cutover.find(ctx, site, target)
            cutover.ack(ctx, actor, site, row, teller, ticket=options.ticket)
            return None
        case "reject":
            cutover.reject(ctx, actor, site, cutover.find(ctx, site, target), options.reason)
            return None
        case "cancel" if target.startswith(CUTOVER):
            cutover.cancel(ctx, actor, site, cutover.find(ctx, site, target), options.reason)
            return None
        case "cancel" if target.startswith(SCHEDULE):
            schedule.cancel(ctx, actor, site, target)
            teller.done(f"{target} is canceled")
            return None
        case _:
            build.cancel(ctx, actor, site, target, teller)
            return None
    return Update(NOTHING, made.commit, f"refs/releases/{made.name}")


def _cutover(ctx: Context, actor: Actor, ask: Ask, target: str, options: Options) -> Release | None:
    """The first push of it asks for a cutover; once that is acked the next one runs it."""
    row = cutover.open_for(ctx, ask.site, target)
    if ask.rehearse:
        cutover_run.rehearse_for(ctx, actor, ask, row.preview if row else target)
    if row is not None and row.state == "acked":
        return cutover_run.run(ctx, actor, ask, row, ticket=options.ticket)
    if ask.dry_run:
        cutover_plan.sides(ctx, ask.site, target)
        raise DryRun(release.DRY_RUN)
    cutover.request(ctx, actor, ask.site, target, ask.teller, note=options.reason, ticket=options.ticket)
    return None


def file(
    ctx: Context,
    actor: Actor,
    site: Site,
    verb: str,
    target: str,
    options: Options,
    teller: Teller,
    gone: Callable[[], bool] = lambda: False,
) -> Schedule:
    """Check now what is to be done at `options.at`, and write it down. Raises DryRun when no more was asked for."""
    with contextlib.suppress(release.DryRun):
        carry_out(ctx, actor, site, verb, target, replace(options, dry_run=True), teller, gone)
    if options.dry_run:
        raise release.DryRun(release.DRY_RUN)
    into = (
        move.between(ctx, site, target)[1]
        if verb == "clone"
        else history.environment_of(ctx, site, options.env)
    )
    return schedule.file(ctx, actor, site, verb, target, options, teller, env=into.name)


# Private


def _clone(ctx: Context, ask: release.Ask, source: Source, options: Options) -> None:
    only = (one.strip() for one in options.only.split(","))
    chosen = Chosen.of(False, False, (one for one in only if one), options.overwrite)
    if ask.dry_run:
        move.compare(ctx, ask, source, chosen)
        raise release.DryRun(release.DRY_RUN)
    move.clone(ctx, ask, source, chosen)
