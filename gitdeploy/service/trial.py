"""A slot that nobody ever sees: real code, started on copies of the data, asked how it is, and ended.

Only its `web` runs, once, and no schedule. Its programs have `GITDEPLOY_REHEARSAL=1` and the URLs of the copies,
whatever is configured.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass

from gitdeploy.domain.app import WEB
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.release import Release
from gitdeploy.runtime.apps import driver
from gitdeploy.runtime.apps.driver import App
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service import database, slot
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
    app = App(ctx.home, env.site, env.folder, like.slot)
    spec = slot.spec_of(ctx, env, like, proven, list(copies))
    spec = dataclasses.replace(
        spec, environment={**spec.environment, **database.told(copies), REHEARSAL: "1"}
    ).scaled({name: int(name == WEB and count > 0) for name, count in spec.counts.items()})
    counts = spec.counts
    command = 0.0
    try:
        layout = slot.lay_out(ctx, env, like, proven, spec)
        started = time.monotonic()
        driver.start(app, spec.scaled(dict.fromkeys(counts, 0)), layout)
        if migrates and spec.release:
            began = time.monotonic()
            slot.run_release_command(app, spec.release, teller)
            command = time.monotonic() - began
        driver.scale(app, counts)
        check = slot.health_check(ctx, env, proven.settings)
        said = driver.wait_healthy(app, check)
        start = time.monotonic() - started - command
        teller.detail(said)
        began = time.monotonic()
        driver.wait_healthy(app, check)
        return Tried(said, command, start, time.monotonic() - began)
    finally:
        driver.drain(app)
        Place(ctx.home, env.site, env.folder).discard(like.slot)
