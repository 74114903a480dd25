"""A pause: the visitors of an environment wait for as long as something is exchanged, and none of them is sent away.

What is under way is finished first. Who comes is held by the keeper of the live slot (runtime/apps/holding.py), so a
pause whose server was killed ends as well: whatever follows settles what was begun, and `slot.keep` lets visitors in.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator

from gitdeploy.domain.environment import Environment
from gitdeploy.errors import GitdeployError
from gitdeploy.runtime.apps import driver
from gitdeploy.runtime.apps.driver import App, Hold
from gitdeploy.service.context import Context
from gitdeploy.service.journal import live_release
from gitdeploy.service.teller import Teller

log = logging.getLogger("gitdeploy.pause")

LONGEST = 20.0
"""Seconds that a visitor waits at most. Then they are told to come again, until the pause is over."""
PATIENCE = 5.0
"""Seconds for what is under way to end. What takes longer goes on beside what is exchanged."""


class Waiting:
    """Those who wait are let in by the slot that held them, unless another one is named by `go_to`."""

    def __init__(self) -> None:
        self.slot: App | None = None

    def go_to(self, slot: App) -> None:
        self.slot = slot


@contextlib.contextmanager
def pause(
    ctx: Context,
    env: Environment,
    teller: Teller,
    *,
    within: float = LONGEST,
    patience: float = PATIENCE,
    rests: bool = False,
    turns_away: bool = True,
) -> Iterator[Waiting]:
    """In the block nobody is answered; how long visitors waited is told afterwards. With `rests` the workers of what is
    live have ended, too, and nothing is run once or by schedule; they are started again unless another slot follows.
    When `turns_away` is false visitors are let in after `within` seconds, whatever is still being done.

    Not within another one. Does nothing where no app is live: files are followed by others in one rename, and nobody
    writes to them.
    """
    waiting = Waiting()
    with ctx.lanes.of(env.site, env.name).pause.hold("a pause", teller, lambda: False):
        live = live_release(ctx, env.site, env.name)
        if live is None or live.serves != "app" or live.image:
            yield waiting
            return
        app = App(ctx.home, env.site, env.folder, live.slot)
        try:
            hold = driver.hold(app, within=within, patience=patience, rests=rests, turns_away=turns_away)
        except GitdeployError as error:
            teller.problem(f"Visitors are not held: {error.message}")
            yield waiting
            return
        _say_open(hold, teller, rests)
        began = time.monotonic()
        try:
            yield waiting
        finally:
            _release(hold, waiting, teller, began)


# Private


def _release(hold: Hold, waiting: Waiting, teller: Teller, began: float) -> None:
    lasted = time.monotonic() - began
    try:
        waited = hold.release(waiting.slot)
    except GitdeployError as error:
        log.error("visitors who were held: %s", error.message)
        return
    teller.detail(
        f"paused for {lasted:.2f} s: {waited.turned_away} requests dropped, "
        f"visitors waited {waited.longest:.2f} s"
    )


def _say_open(hold: Hold, teller: Teller, rests: bool) -> None:
    """Who is still at work is told of where that matters."""
    if not rests:
        return
    if hold.open:
        teller.problem(f"{hold.open} requests are still under way, and may fail.")
    if hold.jobs:
        teller.problem(f"Still run with what was there before: {', '.join(hold.jobs)}.")
