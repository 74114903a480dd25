"""A release takes over together with other data. Visitors wait for as long as databases change places.

beside    its slot, and all that can be done without touching what serves
pause     what serves finishes what is under way; who comes waits; its workers end
exchange  databases are swapped, the new slot is healthy on them, the pointer moves
after     those who waited are answered by the new slot; or, when something failed, by the old one as if nothing was
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitdeploy.domain.app import WEB, AppSpec, Check
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.release import Release
from gitdeploy.domain.switch import SwitchRecord
from gitdeploy.errors import GitdeployError, Invalid, NotFound
from gitdeploy.runtime.apps import driver
from gitdeploy.runtime.apps.driver import App, CopyRecord
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service import database, journal, slot, surroundings
from gitdeploy.service.context import Context
from gitdeploy.service.database import Held
from gitdeploy.service.exchange import Exchange
from gitdeploy.service.pause import pause
from gitdeploy.service.serving import Proven
from gitdeploy.service.teller import Teller

log = logging.getLogger("gitdeploy.handover")

_LONGEST_END = 120.0
"""Seconds that the programs of other slots are waited for."""


@dataclass(frozen=True)
class Successor:
    """A slot that is laid out, and has its programs started if `started`: all but the workers."""

    app: App
    spec: AppSpec
    layout: Path
    check: Check
    started: bool
    held: list[Held]

    def become_healthy(self, teller: Teller) -> None:
        """With all programs, on what is there now. Raises Failed."""
        if self.started:
            driver.scale(self.app, self.spec.counts)
        else:
            driver.start(self.app, self.spec, self.layout)
        teller.detail(driver.wait_healthy(self.app, self.check))


def prepare(
    ctx: Context,
    env: Environment,
    release: Release,
    proven: Proven,
    brings: Exchange,
    live: Release | None,
    teller: Teller,
    *,
    late: bool = False,
) -> tuple[Release, Successor | None]:
    """Do beforehand what can be done. Returns the release with what its databases will look like, unless that comes
    `late`; None for files.

    Code that is live already is started on today's databases, and asked nothing: so it holds no connection that
    the exchange would cut. Other code may not bear them, and is only laid out. Workers wait, as what they would
    work on is not there yet. Raises Failed.
    """
    if proven.on_swarm:
        raise Invalid(
            "The data of a site on the swarm cannot be exchanged while visitors wait.",
            "Restore it into a preview, and take the content from there.",
        )
    if not proven.is_app:
        return slot.make_ready(ctx, env, release, proven, teller), None
    held = surroundings.databases(ctx, env, release, proven.settings)
    if not late:
        release = _remember(ctx, release, held, brings)
    spec = slot.spec_of(ctx, env, release, proven, held)
    layout = slot.lay_out(ctx, env, release, proven, spec)
    check = surroundings.health_check(ctx, env, proven.settings)
    app = slot.app_of(ctx, env, release)
    started = not late and (not brings.databases or (live is not None and live.artifact == release.artifact))
    if started:
        driver.start(app, spec.scaled({name: 0 for name in spec.programs if name != WEB}), layout)
        if spec.counts.get(WEB):
            driver.wait_healthy(app, Check(path="", timeout=check.timeout) if brings.databases else check)
    return release, Successor(app, spec, layout, check, started, held)


def exchange(
    ctx: Context,
    env: Environment,
    release: Release,
    record: SwitchRecord,
    successor: Successor | None,
    brings: Exchange,
    teller: Teller,
    late: Callable[[], None] | None = None,
) -> Release:
    """The moment itself; `late` is called in the pause, before anything changes places. Raises what failed; then the
    databases are as they were, unless the log says otherwise.
    """
    place = Place(ctx.home, env.site, env.folder)
    _end_others(ctx, env, record)
    with pause(ctx, env, teller, rests=True) as waiting:
        try:
            if late is not None:
                late()
                if successor is not None:
                    release = _remember(ctx, release, successor.held, brings)
            ctx.lead.need()
            brings.swap()
            if successor is not None:
                successor.become_healthy(teller)
            return journal.move(ctx, env, release, record, place, teller)
        finally:
            if place.current() == record.new_slot:
                waiting.go_to(slot.app_of(ctx, env, release))
            else:
                _put_back(env, brings)


# Private


def _remember(ctx: Context, release: Release, held: list[Held], brings: Exchange) -> Release:
    shapes = database.shapes(_as_it_will_be(held, brings))
    return database.remember(ctx, release, shapes, shapes)


def _as_it_will_be(held: list[Held], brings: Exchange) -> list[Held]:
    """Under the names that they have until they are exchanged."""
    new: Mapping[str, Any] = {one.name: one.url_with(brings.new) for one in brings.databases}
    return [Held(one.name, new.get(one.name, one.url), one.admin) for one in held]


def _end_others(ctx: Context, env: Environment, record: SwitchRecord) -> None:
    """Slots that were left, or are kept warm, work on the data that is about to go. What was asked to be run once in
    them is not waited for.
    """
    others = [
        one
        for one in driver.running(ctx.home, env.site, env.folder)
        if one.slot not in (record.old_slot, record.new_slot)
    ]
    for one in others:
        driver.drain(one, wait=False)
    until = time.monotonic() + _LONGEST_END
    while any(_programs(one) for one in others) and time.monotonic() < until:
        time.sleep(0.02)


def _programs(one: App) -> tuple[CopyRecord, ...]:
    try:
        return driver.status(one).copies
    except NotFound:
        return ()


def _put_back(env: Environment, brings: Exchange) -> None:
    """What cannot be put back now is put back by whoever settles the switch."""
    try:
        brings.put_back()
    except GitdeployError as error:
        log.error("%s %s: the databases are not put back yet: %s", env.site, env.name, error.message)
