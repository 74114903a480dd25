"""What is looked after while the server runs: the edge, the apps, the branches and previews, and old bytes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

from gitdeploy.errors import GitdeployError
from gitdeploy.service import (
    backup,
    cron,
    doctor,
    due,
    postman,
    reconcile,
    restore,
    retention,
    shipment,
    snapshot,
    snapshot_copy,
    watch,
)
from gitdeploy.service.context import Context
from gitdeploy.service.teller import Teller

log = logging.getLogger("gitdeploy.maintenance")


EVERY = {
    "edge": 5.0,
    "cron": 1.0,
    "schedules": 1.0,
    "apps": 5.0,
    "watch": 2.0,
    "branches": 10.0,
    "replaced data": 5.0,
    "proofs": 5.0,
    "webhooks": 0.5,
    "copies": 5.0,
    "backups": 60.0,
    "shipments": 1.0,
    "patrol": 900.0,
    "collection": 3600.0,
}
"""Seconds between two looks."""
_ALWAYS = {"edge", "patrol", "shipments"}
"""What is done also by a server that may not act: the rest could undo what its successor does."""


def run(ctx: Context, ending: threading.Event, ensure_edge: Callable[[], object]) -> None:
    """Until `ending` is set, each in a thread of its own: what takes long holds up nothing else."""
    chores: dict[str, Callable[[], object]] = {
        "edge": ensure_edge,
        "cron": partial(cron.Cron().look, ctx),
        "schedules": lambda: due.look(ctx),
        "apps": lambda: reconcile.keep_apps(ctx),
        "watch": partial(watch.Watch().look, ctx),
        "branches": lambda: reconcile.again(ctx),
        "replaced data": lambda: restore.retire(ctx),
        "proofs": lambda: snapshot.prove_waiting(ctx),
        "webhooks": partial(postman.Postman().look, ctx),
        "copies": partial(snapshot_copy.Copier().look, ctx),
        "backups": partial(backup.Keeper().look, ctx),
        "shipments": partial(shipment.Shipper().look, ctx),
        "patrol": lambda: _patrol(ctx),
        "collection": lambda: retention.collect(ctx, Teller()),
    }
    threads = [
        threading.Thread(target=_again, args=(ctx, name, act, ending), name=name)
        for name, act in chores.items()
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()


def _again(ctx: Context, name: str, act: Callable[[], object], ending: threading.Event) -> None:
    """What fails is logged and tried again at its next time."""
    while not ending.wait(timeout=EVERY[name]):
        try:
            if name in _ALWAYS or ctx.lead.may:
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
