"""A cutover carried out: what the preview holds at one instant becomes production's data.

capture    the preview, at one instant; it stays as it is and goes on
backup     a proven snapshot of production, `pre-cutover-<id>`: the way back
bring      the same preparation and the same switch as for a restore

Nothing of production changes before the switch. What fails leaves it wholly as it was, and the request failed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

from gitdeploy.domain.cutover import Cutover, check_limits, check_move
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.release import Release
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.snapshot import Snapshot
from gitdeploy.domain.switch import OPEN
from gitdeploy.errors import GitdeployError, Refused
from gitdeploy.service import (
    cutover,
    cutover_plan,
    exchange,
    freeze,
    rehearsal,
    rehearse,
    restore,
    snapshot,
    surroundings,
)
from gitdeploy.service import release as releases
from gitdeploy.service.context import Context
from gitdeploy.service.cutover_plan import Sides
from gitdeploy.service.rehearsal import Rehearsed
from gitdeploy.service.release import Ask
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock


def run(ctx: Context, actor: Actor, ask: Ask, row: Cutover, *, ticket: str = "") -> Release:
    """Carry out a request that was acked. Raises Refused when something speaks against it, and then the request stays
    acked; what fails once it is under way leaves it failed.
    """
    site, teller = ask.site, ask.teller
    actor.need(Role.OPERATOR, site.name, "run a cutover", PRODUCTION)
    cutover.refuse_same_person(ctx, actor, site, row, "run")
    check_limits("", ticket)
    check_move(row, "in_progress")
    row = replace(row, ticket=ticket or row.ticket)
    if not row.ticket:
        raise Refused(
            f"{row.id} names no ticket, and needs one before it is run.",
            "Say in which the cutover is agreed on: --ticket, or by git -o ticket=…",
        )
    both = cutover_plan.sides(ctx, site, row.preview)
    if not ask.override_freeze:
        freeze.refuse(ctx, both.production)
    teller.step(f"cutover of {row.preview} to production of {site.name} by {actor.name}: {row.id}")
    taken = _capture(ctx, ask, both.preview, row.id)
    with ctx.lanes.of(site.name, PRODUCTION).data.hold(f"the cutover {row.id}", teller, ask.gone):
        both = cutover_plan.sides(ctx, site, row.preview)
        cutover_plan.refuse_destructive(both, taken.facts, forced=ask.force_schema, teller=teller)
        found = rehearsal.require(
            ctx, both.production, "cutover", row.preview, cutover_plan.inputs(ctx, both, taken), ask.rehearsal
        )
        if ask.dry_run:
            raise releases.DryRun(releases.DRY_RUN)
        with restore.restoring(ctx, both.production):
            row = _begin(ctx, actor, row, taken, found.id if found else "")
            try:
                made = _bring(ctx, ask, both, row, taken)
            except BaseException as error:
                _close(ctx, row, error)
                raise
            _close(ctx, row, None)
    _say_undo(ctx, row, teller)
    return made


def rehearse_for(ctx: Context, actor: Actor, ask: Ask, preview: str) -> NoReturn:
    """Run it on copies; nobody needs to have asked for it yet. Raises Rehearsed when that went well."""
    site = ask.site
    actor.need(Role.DEVELOPER, site.name, "rehearse a cutover")
    both = cutover_plan.sides(ctx, site, preview)
    name = both.preview.name
    taken = _capture(ctx, ask, both.preview, "a rehearsal")
    with ctx.lanes.of(site.name, PRODUCTION).data.hold(f"{actor.name}'s rehearsal", ask.teller, ask.gone):
        now = rehearse.facts(both.held)
        lost = cutover_plan.loss(ctx, both, now, taken.facts)
        cutover_plan.say_loss(lost, ask.teller)
        play = rehearse.Play(
            env=both.production, verb="cutover", subject=name, inputs=cutover_plan.inputs(ctx, both, taken),
            actor=actor.name, build=releases.stored_build(ctx, both.live),
            config=surroundings.config_number(ctx, both.production), taken=taken, swaps=True, before=now,
            more={"lost": lost, "files": taken.files},
        )  # fmt: skip
        made = rehearse.rehearse(ctx, play, both.live, ask.teller)
    raise Rehearsed(
        made,
        "Once it is acked, and as long as nothing it depends on changes: "
        f"git push -o rehearsal={made.id} managed HEAD:cutover/{name}",
    )


def settle(ctx: Context) -> None:
    """Close the requests whose run ended with the server: completed when the switch was, else failed."""
    for row in ctx.ledger.cutovers.where(state="in_progress"):
        if ctx.lanes.of(row.site, PRODUCTION).data.free:
            _close(ctx, row, None)


# Private


def _capture(ctx: Context, ask: Ask, preview: Environment, cause: str) -> Snapshot:
    """While nothing else changes the preview or takes it away."""
    lane, who = ctx.lanes.of(preview.site, preview.name), f"the cutover of {preview.name}"
    with lane.data.hold(who, ask.teller, ask.gone), lane.switch.hold(who, ask.teller, ask.gone):
        return snapshot.capture_now(ctx, preview, ask.actor, ask.teller, cause=f"for {cause}")


def _begin(ctx: Context, actor: Actor, row: Cutover, taken: Snapshot, rehearsed: str) -> Cutover:
    with ctx.ledger.atomic():
        check_move(cutover.find(ctx, ctx.site(row.site), row.id), "in_progress")
        ctx.event("cutover.promote_started", actor=actor.name, site=row.site, env=PRODUCTION, subject=row.id,
                  data={"preview": row.preview, "ticket": row.ticket, "snapshot": taken.name})  # fmt: skip
        return ctx.ledger.cutovers.change(
            row, state="in_progress", started_at=clock.now(), run_by=actor.name, ticket=row.ticket,
            filled=taken.name, rehearsal=rehearsed,
        )  # fmt: skip


def _bring(ctx: Context, ask: Ask, both: Sides, row: Cutover, taken: Snapshot) -> Release:
    backup = snapshot.capture_now(
        ctx, both.production, ask.actor, ask.teller, cause=f"before {row.id}", label=row.label, pinned=True
    )
    row = ctx.ledger.cutovers.change(row, backup=backup.name)
    snapshot.prove(ctx, backup, ask.teller)
    reason = f"cutover {row.id} of {row.preview}" + (f": {ask.reason}" if ask.reason else "")
    return restore.bring(ctx, replace(ask, env=PRODUCTION, reason=reason), both.production, both.live, taken)


def _close(ctx: Context, row: Cutover, error: BaseException | None) -> None:
    """Completed when the switch that brought this snapshot was done, whatever came after it; failed otherwise. One that
    is not settled yet is left to `settle`.
    """
    done = None
    for record in ctx.ledger.switches.where(site=row.site, env=PRODUCTION, order="id DESC"):
        if record.created_at < (row.started_at or ""):
            break
        brought = exchange.opened(ctx, record)
        if brought is not None and brought.filled == row.filled:
            if record.phase in OPEN:
                return
            done = record if record.phase != "undone" else None
            break
    why = error.message if isinstance(error, GitdeployError) else str(error or "gitdeploy ended meanwhile")
    row = cutover.find(ctx, ctx.site(row.site), row.id)
    with ctx.ledger.atomic():
        if done is not None:
            backup = snapshot.find(ctx, ctx.site(row.site), row.backup)
            ctx.event(
                "production_overwrite_restore", actor=row.run_by, site=row.site, env=PRODUCTION, subject=row.id,
                data={"backup": backup.id, "snapshot": backup.name, "preview": row.preview,
                      "release": f"r{done.release}"},
            )  # fmt: skip
            ctx.event("cutover.completed", actor=row.run_by, site=row.site, env=PRODUCTION, subject=row.id,
                      data={"preview": row.preview, "release": f"r{done.release}"})  # fmt: skip
            ctx.ledger.cutovers.change(row, state="completed", release=done.release, finished_at=clock.now())
        else:
            ctx.event("cutover.failed", actor=row.run_by, site=row.site, env=PRODUCTION, subject=row.id,
                      data={"preview": row.preview, "error": why})  # fmt: skip
            ctx.ledger.cutovers.change(row, state="failed", error=why, finished_at=clock.now())


def _say_undo(ctx: Context, row: Cutover, teller: Teller) -> None:
    row = cutover.find(ctx, ctx.site(row.site), row.id)
    teller.detail("undo: look first, in a preview of any name:")
    teller.detail(f"  git push -o env=<preview> managed HEAD:restore/{row.backup}")
    teller.detail("then over production:")
    teller.detail(f"  git push -o reason=… managed HEAD:restore/{row.backup}")
