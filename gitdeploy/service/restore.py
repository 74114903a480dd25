"""Restore: databases and files of a snapshot become those of an environment, with or without the code of that time.

check      every byte of the snapshot, before anything is touched
safety     a proven snapshot of what is there now
prepare    databases and a data folder beside those in use, filled and compared with what was captured
switch     the same switch as for code, which brings the data with it while visitors wait
retire     what was replaced is captured for the last time, then removed
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import NoReturn

from gitdeploy.domain.digest import Digest
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.rehearsal import Inputs
from gitdeploy.domain.release import Release
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.domain.snapshot import Snapshot
from gitdeploy.domain.switch import RETIRING, SwitchRecord
from gitdeploy.errors import Busy, Failed, GitdeployError, Refused
from gitdeploy.runtime.apps import driver
from gitdeploy.runtime.apps.driver import App
from gitdeploy.service import (
    beside,
    database,
    exchange,
    freeze,
    history,
    move_journal,
    policy,
    rehearsal,
    rehearse,
    snapshot,
    surroundings,
)
from gitdeploy.service import release as releases
from gitdeploy.service.context import Context
from gitdeploy.service.database import Held
from gitdeploy.service.exchange import Exchange
from gitdeploy.service.journal import live_release
from gitdeploy.service.rehearsal import Rehearsed
from gitdeploy.service.release import Ask
from gitdeploy.service.teller import Teller

log = logging.getLogger("gitdeploy.restore")

STATE = "restoring"


class Unconfirmed(Refused):
    """They may, and have not said that they mean it: how that is said differs by door."""


def allow(
    ctx: Context, actor: Actor, site: Site, env: Environment, taken: Snapshot, *, confirmed: bool, rehearsed: bool
) -> None:  # fmt: skip
    """Raises Refused, unless this person may replace the data of an environment, and said so for production. With
    `rehearsed` it is only to be rehearsed. A snapshot holds what masks hide when content is cloned.
    """
    if taken.env == PRODUCTION != env.name and policy.of_site(site, ctx.repository(site.name)).content.mask:
        actor.need(
            Role.OPERATOR,
            site.name,
            f"have production's personal data in {env.name}, which a clone would mask",
            env.name,
        )
    if rehearsed:
        actor.need(Role.DEVELOPER, site.name, f"rehearse a restore into {env.name}", env.name)
        return
    if env.kind == "preview":
        actor.need(Role.DEVELOPER, site.name, "restore into previews", env.name)
        return
    actor.need(Role.OPERATOR, site.name, f"replace the data of {env.name}", env.name)
    if not confirmed:
        raise Unconfirmed(
            f"This replaces all databases and files of {env.name}.",
            "Say that you mean it: --yes, or by git with -o reason=…; to look first, restore into a preview.",
        )


def restore(ctx: Context, ask: Ask, taken: Snapshot, *, code: bool = False) -> Release:
    """Make `taken` the data of the environment that is asked for. With `code` the release of that time goes live again
    together with it.
    """
    env = history.environment_of(ctx, ask.site, ask.env)
    goal = _release_of(ctx, taken) if code else None
    ask.teller.step(f"restore of {taken.name} into {env.name} of {env.site} by {ask.actor}")
    with ctx.lanes.of(env.site, env.name).data.hold(f"the restore of {taken.name}", ask.teller, ask.gone):
        ctx.store.check(Digest.parse(taken.artifact))
        live, held = snapshot.kept(ctx, env)
        _refuse_others(taken, held)
        subject = taken.name + (" with its code" if goal else "")
        inputs = _inputs(ctx, env, taken, live, goal, held)
        if ask.rehearse:
            _rehearse(ctx, ask, env, taken, goal, subject, inputs)
        rehearsal.require(ctx, env, "restore", subject, inputs, ask.rehearsal)
        if not ask.override_freeze:
            freeze.refuse(ctx, env)
        if ask.dry_run:
            raise releases.DryRun(releases.DRY_RUN)
        with restoring(ctx, env):
            before = None if env.kind == "preview" else safety(ctx, env, ask, f"restore {taken.name}")
            made = bring(ctx, ask, env, live, taken, goal)
        if before is not None:
            ask.teller.detail(f"undo: git push -o reason=… managed HEAD:restore/{before.name}")
        return made


def bring(
    ctx: Context, ask: Ask, env: Environment, live: Release, taken: Snapshot, goal: Release | None = None
) -> Release:
    """Prepare the data of a snapshot beside that of an environment, and switch to it, with the code that is `live`, or
    of `goal`. Call it holding the lane's `data`, within `restoring`. Raises Busy when another release is live by now.
    """

    def still() -> None:
        now = live_release(ctx, env.site, env.name)
        if now is None or now.id != live.id:
            raise Busy(
                f"{now.name if now else 'Another release'} went live in {env.name} meanwhile.",
                "Try again.",
                again=1,
            )

    still()
    held = snapshot.kept(ctx, env)[1]

    with beside.prepared(ctx, env, live.data, held, taken.name) as brings:
        beside.fill(ctx, env, brings.data, taken, brings.prepare(), held)
        return releases.go_live_with(ctx, ask, env, goal or live, brings, still)


def safety(ctx: Context, env: Environment, ask: Ask, cause: str) -> Snapshot:
    """A proven snapshot of what is about to be changed."""
    taken = snapshot.capture_now(ctx, env, ask.actor, ask.teller, cause=cause)
    return snapshot.prove(ctx, taken, ask.teller)


@contextlib.contextmanager
def restoring(ctx: Context, env: Environment) -> Iterator[None]:
    """No other operation changes the environment meanwhile. Raises Busy when one does already."""
    now = ctx.ledger.environments.get(env.site, env.name)
    if now is None or now.state == STATE:
        raise Busy(
            f"{env.name} of {env.site} is being restored already.", "Wait until that has ended.", again=10
        )
    ctx.ledger.environments.change(now, state=STATE)
    try:
        yield
    finally:
        _ready_again(ctx, now)


def finish(ctx: Context) -> None:
    """At start: nothing is being restored any more. The switch itself is settled by its journal."""
    for env in ctx.ledger.environments.where(state=STATE):
        _ready_again(ctx, env)


def retire(ctx: Context) -> None:
    """Capture what was replaced for the last time, and remove it: what was written between the safety snapshot and the
    switch is in there. Not while a program may still write to it.
    """
    for record in ctx.ledger.switches.where(phase=RETIRING):
        env = ctx.ledger.environments.get(record.site, record.env)
        brought = exchange.opened(ctx, record)
        if env is None or brought is None:
            ctx.ledger.switches.change(record, phase="done")
            continue
        old = App(ctx.home, env.site, env.folder, record.old_slot or "")
        if record.old_slot and any(
            app.slot == old.slot for app in driver.running(ctx.home, env.site, env.folder)
        ):
            continue
        with ctx.lanes.of(env.site, env.name).data.hold(
            "the last look at what was replaced", Teller(), lambda: False
        ):
            _retire(ctx, env, record, brought)


# Private


def _ready_again(ctx: Context, env: Environment) -> None:
    """Unless content is on its way in, of which it is not known yet whether it has come."""
    if not move_journal.is_open(ctx, env.site, env.name):
        ctx.ledger.environments.change(env, state="ready")


def _retire(ctx: Context, env: Environment, record: SwitchRecord, brought: Exchange) -> None:
    try:
        snapshot.capture_replaced(ctx, env, brought, record)
        brought.drop_old(ctx, env)
    except GitdeployError as error:
        log.error("%s %s: what r%d replaced stays: %s", env.site, env.name, record.release, error.message)
        return
    ctx.ledger.switches.change(record, phase="done")


def _release_of(ctx: Context, taken: Snapshot) -> Release:
    found = ctx.ledger.releases.one(site=taken.site, number=taken.release)
    if found is None:
        raise Failed(f"The release r{taken.release} that {taken.name} was taken of is not in the ledger.")
    return found


def _refuse_others(taken: Snapshot, held: list[Held]) -> None:
    mine, its = {one.name for one in held}, set(taken.facts)
    if mine != its:
        raise Refused(
            f"{taken.name} holds {_said(its)}, and the environment has {_said(mine)}.",
            "Restore it with the code of that time, or into an environment with the same databases.",
        )


def _said(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "no databases"


def _inputs(
    ctx: Context, env: Environment, taken: Snapshot, live: Release, goal: Release | None, held: list[Held]
) -> Inputs:
    """Rows are none of them: those of today are replaced, whatever they are."""
    number = surroundings.config_number(ctx, env)
    said = {
        "the snapshot": taken.artifact, "what is live": live.name,
        "the configuration": f"c{number}" if number else "",
        **{f"the shape of {name}": one.fingerprint for name, one in database.shapes(held).items()},
    }  # fmt: skip
    return Inputs(said | ({"the code": goal.artifact} if goal else {}))


def _rehearse(
    ctx: Context,
    ask: Ask,
    env: Environment,
    taken: Snapshot,
    goal: Release | None,
    subject: str,
    inputs: Inputs,
) -> NoReturn:
    live, held = snapshot.kept(ctx, env)
    play = rehearse.Play(
        env=env, verb="restore", subject=subject, inputs=inputs, actor=ask.actor,
        build=releases.stored_build(ctx, goal or live), config=surroundings.config_number(ctx, env), taken=taken,
        swaps=True, before=rehearse.facts(held), more={"files": taken.files},
    )  # fmt: skip
    made = rehearse.rehearse(ctx, play, live, ask.teller)
    option = "" if env.name == PRODUCTION else f"-o env={env.name} "
    again = f"{option}-o rehearsal={made.id} -o reason=… managed HEAD:restore/{taken.name}"
    raise Rehearsed(made, f"Now for real, as long as nothing it depends on changes: git push {again}")
