"""The moment of a switch, journalled: killed anywhere, it is finished or undone by whoever looks next.

What decides is the pointer. Going forward it moves once the refs are locked and before they move; taken back, the
refs go first. So a pointer at the new slot means: finish it; any other means that no ref has moved: undo it.
"""

from __future__ import annotations

import contextlib
import json
import logging

from gitdeploy.domain.environment import Environment
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.refs import ZERO, Update
from gitdeploy.domain.release import Release, remarked
from gitdeploy.domain.switch import OPEN, RETIRING, SwitchRecord
from gitdeploy.errors import Failed, GitdeployError
from gitdeploy.git.transaction import RefTransaction
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service import base, exchange, policy
from gitdeploy.service.context import Context
from gitdeploy.service.exchange import Exchange
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock, durable, ids

log = logging.getLogger("gitdeploy.journal")


def begin(
    ctx: Context, release: Release, place: Place, updates: list[Update], brings: Exchange | None
) -> SwitchRecord:
    id = ids.new("swi")
    return ctx.ledger.switches.add(
        SwitchRecord(
            id=id, site=release.site, env=release.env, release=release.number,
            old_slot=place.current(), new_slot=release.slot,
            refs=json.dumps([[one.old, one.new, one.ref] for one in updates]),
            phase="prepared", created_at=clock.now(), data=brings.seal(ctx, id) if brings else "",
        )
    )  # fmt: skip


def move(
    ctx: Context, env: Environment, release: Release, record: SwitchRecord, place: Place, teller: Teller
) -> Release:
    """The moment itself. The refs are locked first, so after the rename little is left that could refuse; when
    they do, all is put back as it was. Once they have moved it is done: a disk that is too full for the ledger
    then makes `settle` write it down later, and the release returned has no `live_at` yet.
    """
    changed = [one for one in _updates(record) if one.old != one.new]
    try:
        with RefTransaction(ctx.repository(release.site), changed) as refs:
            ctx.ledger.switches.change(record, phase="switching")
            ctx.lead.need()
            place.point(release.slot)
            refs.commit()
    except BaseException:
        if place.current() == record.new_slot:
            _take_back(ctx, record, place)
        raise
    try:
        return _record(ctx, release, record, env)
    except Failed as error:
        log.error("%s %s: %s is live and not written down: %s", env.site, env.name, release.name, error)
        teller.problem(f"{release.name} is live, and is written down as soon as that works.", error.message)
        return release


def undo(ctx: Context, release: Release, error: BaseException | None, record: SwitchRecord | None) -> None:
    """The release failed before it served. What cannot be written now is undone by the next `settle`."""
    why = error.message if isinstance(error, GitdeployError) else str(error or "interrupted")
    with ctx.ledger.atomic():
        ctx.ledger.releases.change(release, state="failed", ended_at=clock.now())
        if record is not None:
            ctx.ledger.switches.change(record, phase="undone")
        ctx.event(
            "release.failed", actor=release.actor, site=release.site, env=release.env, subject=release.name,
            data={"error": why},
        )  # fmt: skip


def settle(ctx: Context, site: str, env: str) -> None:
    """Finish or undo what a crash or a full disk left open. Call it before anything moves `env`."""
    for record in ctx.ledger.switches.where(phase=OPEN, site=site, env=env):
        release = ctx.ledger.releases.one(site=site, number=record.release)
        log.warning("switch of %s %s to r%d: %s", site, env, record.release, _settle(ctx, record, release))
    for release in ctx.ledger.releases.where(state="pending", site=site, env=env):
        undo(ctx, release, None, None)


def unsettled(ctx: Context) -> list[SwitchRecord]:
    return ctx.ledger.switches.where(phase=OPEN)


def live_release(ctx: Context, site: str, env: str) -> Release | None:
    return ctx.ledger.releases.one(site=site, env=env, state="live")


def _settle(ctx: Context, record: SwitchRecord, release: Release | None) -> str:
    environment = ctx.ledger.environments.get(record.site, record.env)
    if environment is None or release is None:
        ctx.ledger.switches.change(record, phase="undone")
        return "undone, it is gone"
    place = Place(ctx.home, record.site, environment.folder)
    if record.phase == "switching" and place.current() == record.new_slot:
        repository = ctx.repository(record.site)
        late = [one for one in _updates(record) if (repository.ref(one.ref) or ZERO) != one.new]
        with RefTransaction(repository, late) as refs:
            refs.commit()
        ctx.untold.append(_record(ctx, release, record, environment))
        return "finished"
    if (brought := exchange.opened(ctx, record)) is not None:
        brought.put_back()
        brought.drop_new(ctx, environment)
    undo(ctx, release, None, record)
    with contextlib.suppress(OSError):
        place.retire(keep={place.current() or ""})
    return "undone"


def _record(ctx: Context, release: Release, record: SwitchRecord, env: Environment) -> Release:
    _say_what_production_held(ctx, release, record)
    now = clock.now()
    decides = env.name == PRODUCTION and release.kind != "rollback"
    text = policy.text(ctx.repository(release.site), release.commit) if decides else ""
    with ctx.ledger.atomic():
        if decides:
            ctx.ledger.sites.change(ctx.site(release.site), policy=text)
        old = live_release(ctx, release.site, release.env)
        if old is not None:
            ended = "rolled_back" if release.kind == "rollback" else "superseded"
            ctx.ledger.releases.change(old, state=ended, ended_at=now)
        live = ctx.ledger.releases.change(release, state="live", live_at=now)
        if env.kind != "preview":
            _remark(ctx, live, old)
        ctx.ledger.environments.change(env, release=release.number, state="ready")
        ctx.ledger.switches.change(record, phase=RETIRING if record.data else "done")
        for moved in _updates(record):
            if moved.ref.startswith("refs/heads/"):
                ctx.acted_on(release.site, moved.ref, moved.new)
        ctx.event(
            "release.live", actor=release.actor, site=release.site, env=release.env, subject=release.name,
            data={
                "kind": release.kind, "commit": release.commit, "artifact": release.artifact,
                "replaced": old.name if old else None, "reason": release.reason,
            },
        )  # fmt: skip
        _tell_restored(ctx, live, record)
    return live


def _say_what_production_held(ctx: Context, release: Release, record: SwitchRecord) -> None:
    """What others were made of goes back with production's data. Done again when it is not known whether it was: before
    the release is written down nothing else moves content. Raises Failed.
    """
    brought = exchange.opened(ctx, record)
    if brought is None or not brought.filled or release.env != PRODUCTION:
        return
    number = int(brought.filled.removeprefix("s"))
    taken = ctx.ledger.snapshots.one(site=release.site, number=number)
    try:
        if taken is not None and taken.env == PRODUCTION:
            base.go_back(ctx, release.site, taken.created_at, record.created_at)
        else:
            base.forget(ctx, release.site, record.created_at)
    except OSError as error:
        raise durable.said(error, ctx.home.sites / release.site) from error


def _tell_restored(ctx: Context, live: Release, record: SwitchRecord) -> None:
    """Other data came out of a snapshot: what waits for a restore or for the end of a job learns of it."""
    brought = exchange.opened(ctx, record)
    if brought is None or not brought.filled:
        return
    kind = "project" if live.env == PRODUCTION else "preview"
    told = {"target_kind": kind, "snapshot": brought.filled, "release": live.name, "reason": live.reason}
    for action, data in (("restore.completed", told), ("job.completed", {"job": "restore", **told})):
        ctx.event(action, actor=live.actor, site=live.site, env=live.env, subject=brought.filled, data=data)


def _remark(ctx: Context, live: Release, replaced: Release | None) -> None:
    history = ctx.ledger.releases.where(site=live.site, env=live.env)
    marks = remarked(history, live, replaced)
    for one in history:
        if one.number in marks:
            ctx.ledger.releases.change(one, mark=marks[one.number])
            ctx.event("release.marked", actor=live.actor, site=live.site, env=live.env, subject=one.name,
                      data={"mark": marks[one.number], "by": live.name})  # fmt: skip


def _take_back(ctx: Context, record: SwitchRecord, place: Place) -> None:
    """Undo a move whose refs refused at the last moment. If this fails too, `settle` finishes the move."""
    repository = ctx.repository(record.site)
    moved = [one for one in _updates(record) if one.old != one.new and repository.ref(one.ref) == one.new]
    try:
        with RefTransaction(repository, [Update(one.new, one.old, one.ref) for one in moved]) as refs:
            refs.commit()
        place.point(record.old_slot) if record.old_slot else place.clear()
    except (GitdeployError, OSError):
        log.exception("%s %s stays at %s", record.site, record.env, record.new_slot)


def _updates(record: SwitchRecord) -> list[Update]:
    return [Update(*one) for one in json.loads(record.refs)]
