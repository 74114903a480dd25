"""What happens by the clock: an environment's snapshots, and its scheduled commands, which run in the slot of what is
live, so that a switch takes them along. Previews have neither.

A command that is due while it still runs, in this slot or in one that is being left, is skipped. What was due
while nobody was there to look is not made up for. One that is due in a pause begins after it.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime

from gitdeploy.domain import crontab
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.release import Release
from gitdeploy.domain.snapshot import SCHEDULED
from gitdeploy.errors import GitdeployError
from gitdeploy.runtime.apps import driver
from gitdeploy.runtime.apps.driver import App
from gitdeploy.service import serving, snapshot, swarm, swarm_job
from gitdeploy.service.context import Context
from gitdeploy.service.journal import live_release
from gitdeploy.service.mishap import plainly
from gitdeploy.service.teller import Teller

log = logging.getLogger("gitdeploy.cron")
LONGEST = 6 * 3600  # seconds


class Cron:
    """Looks once a minute, whenever in it `look` is called."""

    def __init__(self) -> None:
        self._seen = _minute(time.time())

    def look(self, ctx: Context) -> None:
        now = _minute(time.time())
        if now <= self._seen:
            return
        self._seen = now
        for release in ctx.ledger.releases.where(state="live", serves="app"):
            env = ctx.ledger.environments.get(release.site, release.env)
            if env is None or env.kind == "preview":
                continue
            try:
                _begin(ctx, env, release, now)
            except Exception as error:  # one damaged site does not stop the others
                told = plainly(error, f"the schedule of {env.site} {env.name}")
                log.error("%s %s: %s", env.site, env.name, told.message)


def _begin(ctx: Context, env: Environment, release: Release, minute: datetime) -> None:
    settings = serving.settings(ctx, release)
    when = settings["data"].get("snapshots", "")
    if when and crontab.is_due(when, minute):
        threading.Thread(target=_capture, args=(ctx, env), name="snapshot").start()
    for number, (when, line) in enumerate(settings.get("cron", {}).items(), start=1):
        if crontab.is_due(when, minute):
            name = f"cron.{number}"
            # Not waited for when the server stops: its keeper sees to it.
            threading.Thread(target=_run, args=(ctx, env, release, name, line), daemon=True).start()


def _capture(ctx: Context, env: Environment) -> None:
    """What keeps it from being taken is in the log and among the events, and waits for nobody."""
    try:
        with ctx.lanes.of(env.site, env.name).data.hold(
            "a scheduled snapshot", Teller(), ctx.queue.stopping.is_set
        ):
            snapshot.capture_now(ctx, env, "gitdeploy", Teller(), cause=SCHEDULED)
    except Exception as error:
        told = plainly(error, f"the snapshot of {env.site} {env.name}")
        log.error("%s %s: %s", env.site, env.name, told.message)
        ctx.event(
            "snapshot.failed", actor="gitdeploy", site=env.site, env=env.name, data={"error": told.message}
        )


def _run(ctx: Context, env: Environment, release: Release, name: str, line: str) -> None:
    with ctx.lanes.of(env.site, env.name).pause.hold(name, Teller(), lambda: False):
        release = live_release(ctx, env.site, env.name) or release  # another one after a pause
    app = App(ctx.home, env.site, env.folder, release.slot)
    try:
        if release.image:
            like = swarm.programs(ctx, env, release, serving.settings(ctx, release))[0]
            code, _ = swarm_job.logged(ctx, env, like, name, line, LONGEST)
        elif any(name in driver.status(one).jobs for one in driver.running(ctx.home, env.site, env.folder)):
            log.warning("%s %s: %s still runs and is skipped: %s", env.site, env.name, name, line)
            return
        else:
            code = driver.run(app, line, name=name, within=LONGEST)
    except GitdeployError as error:
        log.warning("%s %s: %s: %s", env.site, env.name, name, error.message)
        return
    if code != 0:
        data = {"command": line, "code": code}
        ctx.event(
            "cron.failed", actor="gitdeploy", site=env.site, env=env.name, subject=release.name, data=data
        )


def _minute(moment: float) -> datetime:
    return datetime.fromtimestamp(moment // 60 * 60, UTC)
