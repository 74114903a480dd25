"""What is looked after while the server runs: the edge, the apps, the branches and previews, and old bytes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from gitdeploy.errors import GitdeployError
from gitdeploy.service import doctor, reconcile, retention
from gitdeploy.service.context import Context
from gitdeploy.service.teller import Teller

log = logging.getLogger("gitdeploy.maintenance")
EDGE, APPS, BRANCHES, PATROL, COLLECTION = 5.0, 5.0, 10.0, 900.0, 3600.0  # seconds between two looks


def run(ctx: Context, ending: threading.Event, ensure_edge: Callable[[], object]) -> None:
    """Until `ending` is set. What fails is logged and tried again at its next time."""
    chores: list[tuple[str, float, Callable[[], object]]] = [
        ("edge", EDGE, ensure_edge),
        ("apps", APPS, lambda: reconcile.keep_apps(ctx)),
        ("branches", BRANCHES, lambda: reconcile.again(ctx)),
        ("patrol", PATROL, lambda: _patrol(ctx)),
        ("collection", COLLECTION, lambda: retention.collect(ctx, Teller())),
    ]
    due = {name: time.monotonic() + every for name, every, _ in chores}
    while not ending.wait(timeout=1.0):
        for name, every, act in chores:
            if time.monotonic() < due[name]:
                continue
            due[name] = time.monotonic() + every
            try:
                act()
            except GitdeployError as error:
                log.warning("%s: %s %s", name, error.message, error.hint)
            except Exception:
                log.exception("%s", name)


def _patrol(ctx: Context) -> None:
    """What `gitdeploy doctor` would call a problem is in the log before anybody asks."""
    for finding in doctor.examine(ctx):
        if finding.level == "problem":
            log.error("%s: %s %s", finding.name, finding.said, finding.hint)
