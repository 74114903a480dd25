"""The watch window: for a while after it went live an app is looked at, and rolled back by itself when it fails.

What counts as failing: a program that keeps crashing, TRIES failed health checks in a row, or so many answers with a
status of 500 or more. A rollback is not watched, so nothing goes to and fro.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from functools import partial

from gitdeploy.domain.environment import Environment
from gitdeploy.domain.release import Release
from gitdeploy.domain.target import Previous
from gitdeploy.errors import GitdeployError
from gitdeploy.runtime.apps import driver
from gitdeploy.runtime.apps.driver import App
from gitdeploy.service import policy, rollback, serving, surroundings
from gitdeploy.service import release as releases
from gitdeploy.service.context import Context
from gitdeploy.store import clock

log = logging.getLogger("gitdeploy.watch")

TRIES = 3
LEAST_ERRORS, RATE = 5, 0.1
"""Failed answers, and their share in all, from which on a release is taken for broken."""
_LONGEST = 7 * 86400.0  # seconds: no window is longer
_PAUSE = 2.0


class Watch:
    """Remembers whom it has given up, so that nothing is tried again and again."""

    def __init__(self) -> None:
        self._given_up: set[str] = set()

    def look(self, ctx: Context) -> None:
        """Watch every live release whose window is open and that nobody watches yet."""
        recent = clock.later(-_LONGEST)
        for release in ctx.ledger.releases.where(
            state="live", serves="app", image="", sql="live_at > ?", given=(recent,)
        ):
            env = ctx.ledger.environments.get(release.site, release.env)
            if env is None or release.kind == "rollback" or release.id in self._given_up:
                continue
            ends = datetime.fromisoformat(release.live_at or "") + timedelta(seconds=_window(ctx, env))
            if ends > datetime.now(UTC):
                act = partial(self._watch, ctx, env, release, ends)
                ctx.queue.track(act, name=f"watch {release.id}")

    def _watch(self, ctx: Context, env: Environment, release: Release, ends: datetime) -> None:
        why = _trouble(ctx, env, release, ends)
        if why:
            self._given_up.add(release.id)
            _roll_back(ctx, env, release, why)


def _window(ctx: Context, env: Environment) -> int:
    settings = policy.of_site(ctx.site(env.site), ctx.repository(env.site))
    own = settings.of(env.name)
    return own.watch if own is not None else 0


def _trouble(ctx: Context, env: Environment, release: Release, ends: datetime) -> str:
    """Why it has to go back; "" when its window ended, or it is no longer live, or the server stops."""
    app = App(ctx.home, env.site, env.folder, release.slot)
    check = surroundings.health_check(ctx, env, serving.settings(ctx, release))
    failed = 0
    pause = ctx.lanes.of(env.site, env.name).pause
    while datetime.now(UTC) < ends and not ctx.queue.stopping.wait(_PAUSE):
        now = ctx.ledger.releases.get(release.id)
        if now is None or now.state != "live":
            return ""
        try:
            tried = driver.look(app, check)
            answers, errors = driver.count(app)
        except GitdeployError as error:  # its keeper is being followed by another
            log.info("%s %s: %s", env.site, env.name, error.message)
            continue
        if not pause.free:  # whoever is held is not answered, as was meant
            continue
        failed = 0 if tried.ok else failed + 1
        if failed >= TRIES or "keeps crashing" in tried.said:
            return tried.said
        if errors >= LEAST_ERRORS and errors >= RATE * answers:
            return f"{errors} of {answers} answers failed"
    return ""


def _roll_back(ctx: Context, env: Environment, release: Release, why: str) -> None:
    """Back to the last good release; the rollback marks this one bad."""
    log.error("%s %s: %s is rolled back: %s", env.site, env.name, release.name, why)
    ask = releases.Ask("gitdeploy", ctx.site(env.site), env.name, f"watch: {why}")
    try:
        rollback.rollback(ctx, ask, Previous())
    except GitdeployError as error:
        log.error("%s %s stays on %s: %s %s", env.site, env.name, release.name, error.message, error.hint)
