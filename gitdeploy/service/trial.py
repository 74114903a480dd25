"""A slot that nobody ever sees: real code, started on copies of the data, asked how it is, and ended.

Only its `web` runs, once, and no schedule. Its programs have `GITDEPLOY_REHEARSAL=1` and the URLs of the copies,
whatever is configured.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gitdeploy.domain.app import RELEASE, WEB, AppSpec
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.release import Release
from gitdeploy.runtime.apps import driver
from gitdeploy.runtime.apps.driver import App
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service import database, slot, surroundings
from gitdeploy.service.context import Context
from gitdeploy.service.database import Held
from gitdeploy.service.serving import Proven
from gitdeploy.service.teller import Teller

REHEARSAL = "GITDEPLOY_REHEARSAL"
"""The variable by which programs know that they run on copies."""


@dataclass(frozen=True)
class Tried:
    """How it went. `release_command`, `start` and `again` are seconds: the command, from the start until it was
    healthy, and to be asked once more.
    """

    health: str
    release_command: float
    start: float
    again: float


def try_out(
    ctx: Context,
    env: Environment,
    like: Release,
    proven: Proven,
    copies: Sequence[Held],
    *,
    migrates: bool,
    teller: Teller,
) -> Tried:
    """Start what is `proven` in the slot and with the data and configuration that `like` names, with the release
    command if it `migrates`. Raises Failed when it fails, or does not become healthy.
    """
    command = 0.0
    with opened(ctx, env, like, proven, copies, {REHEARSAL: "1"}) as (app, spec):
        started = time.monotonic()
        if migrates and spec.release:
            slot.run_command(app, RELEASE, spec.release, teller)
            command = time.monotonic() - started
        driver.scale(app, {name: int(name == WEB and count > 0) for name, count in spec.counts.items()})
        check = surroundings.health_check(ctx, env, proven.settings)
        said = driver.wait_healthy(app, check)
        start = time.monotonic() - started - command
        teller.detail(said)
        began = time.monotonic()
        driver.wait_healthy(app, check)
        return Tried(said, command, start, time.monotonic() - began)


@contextlib.contextmanager
def opened(
    ctx: Context,
    env: Environment,
    like: Release,
    proven: Proven,
    copies: Sequence[Held],
    more: Mapping[str, str],
) -> Iterator[tuple[App, AppSpec]]:
    """A slot in which nothing runs yet. Its programs would have the URLs of the copies, and the variables `more`."""
    app = App(ctx.home, env.site, env.folder, like.slot)
    spec = slot.spec_of(ctx, env, like, proven, list(copies))
    spec = dataclasses.replace(spec, environment={**spec.environment, **database.told(copies), **more})
    try:
        layout = slot.lay_out(ctx, env, like, proven, spec)
        driver.start(app, spec.scaled(dict.fromkeys(spec.counts, 0)), layout)
        yield app, spec
    finally:
        driver.drain(app)
        Place(ctx.home, env.site, env.folder).discard(like.slot)
