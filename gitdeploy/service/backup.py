"""Backups of the whole server, taken while it serves: asked for, or by the clock. Each is read back, then it counts."""

from __future__ import annotations

import dataclasses
import json
import logging
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gitdeploy
from gitdeploy.domain.backup import PREFIX, Backup, Contents, Item
from gitdeploy.domain.role import EVERY_SITE, Actor, Role
from gitdeploy.domain.snapshot import SCHEDULED
from gitdeploy.errors import Busy, Failed, GitdeployError, NotFound
from gitdeploy.service import backup_files, snapshot
from gitdeploy.service.context import Context
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock, ids
from gitdeploy.store.backup_place import BackupPlace, compared
from gitdeploy.store.elsewhere import elsewhere

log = logging.getLogger("gitdeploy.backup")

_AT_ONCE = 8
_TURN = threading.Lock()


def take(ctx: Context, actor: Actor, teller: Teller) -> Backup:
    """Copy what is new of everything to where `[backup] to` says, after a proven snapshot of each environment that
    keeps data. Raises Refused below admin, Busy while another is taken, Failed.
    """
    actor.need(Role.ADMIN, EVERY_SITE, "back up the server")
    if not _TURN.acquire(blocking=False):
        raise Busy("A backup is being taken.", "Wait until it has ended.")
    try:
        return _take(ctx, actor.name, teller)
    finally:
        _TURN.release()


def listing(ctx: Context, actor: Actor, *, before: str = "~", limit: int = -1) -> list[Backup]:
    """Newest first; `before` is the id of the last one already seen."""
    actor.need(Role.ADMIN, EVERY_SITE, "see the backups")
    return ctx.ledger.backups.where(order="id DESC", limit=limit, sql="id < ?", given=(before,))


def is_due(ctx: Context) -> bool:
    every = ctx.server.backup.seconds
    newest = ctx.ledger.backups.one(order="id DESC")
    return bool(ctx.server.backup.to and every) and (
        newest is None or newest.created_at <= clock.later(-every)
    )


class Keeper:
    """Takes the backups that are due. What keeps it from doing so is told once, until it works again."""

    def __init__(self) -> None:
        self._told = ""

    def look(self, ctx: Context) -> None:
        if not is_due(ctx) or not _TURN.acquire(blocking=False):
            return
        try:
            _take(ctx, "gitdeploy", Teller())
            self._told = ""
        except GitdeployError as error:
            if error.message != self._told:
                self._told = error.message
                log.error("the backup failed: %s", error.message)
                ctx.event("backup.failed", actor="gitdeploy", data={"error": error.message})
        finally:
            _TURN.release()


# Private


def _take(ctx: Context, actor: str, teller: Teller) -> Backup:
    started, said = time.monotonic(), ctx.server.backup
    if not said.to:
        raise Failed(
            "No place for backups is set.", 'Say it in server.toml: [backup] to = "/mnt/disk/gitdeploy"'
        )
    place = BackupPlace(elsewhere(said.to, dataclasses.asdict(said)), said.password, new=True)
    teller.step(f"backup to {place.name}")
    without = _snapshots(ctx, actor, teller)
    with ctx.store.hold_all(), tempfile.TemporaryDirectory(dir=snapshot.work(ctx)) as work:
        found = list(backup_files.files(ctx, Path(work), _before(place)))
        stored = place.stored()
        new = {one.item.digest: one for one in found if place.object(one.item.digest) not in stored}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(lambda one: place.put(one.item.digest, one.source, Path(work)), new.values()):
                pass
            for _ in pool.map(lambda digest: compared(place.whole(digest)), new):
                pass
    contents = Contents(
        ids.new(PREFIX), clock.now(), gitdeploy.__version__, backup_files.folders(ctx.home, found),
        tuple(one.item for one in found), tuple(without),
    )  # fmt: skip
    place.write(contents)
    place.let_go(said.keep)
    total = sum(one.item.size for one in found)
    made = Backup(
        contents.id, contents.created_at, actor, place.name, len(found), total,
        sum(one.item.size for one in new.values()), round(time.monotonic() - started, 2), json.dumps(without),
    )  # fmt: skip
    with ctx.ledger.atomic():
        here = set(place.ids())
        for old in ctx.ledger.backups.where(place=place.name):
            if old.id not in here:
                ctx.ledger.backups.remove(old)
        ctx.event("backup.taken", actor=actor, subject=made.id,
                  data={"to": made.place, "bytes": made.bytes, "stored": made.stored, "without": without})  # fmt: skip
        ctx.ledger.backups.add(made)
    teller.done(f"{made.id}: {made.files} files, {made.bytes} bytes, {made.stored} of them new, read back and compared "
                f"({made.seconds} s)")  # fmt: skip
    return made


def _before(place: BackupPlace) -> dict[str, Item]:
    ids = place.ids()
    return {one.path: one for one in place.read(ids[-1]).files} if ids else {}


def _snapshots(ctx: Context, actor: str, teller: Teller) -> list[str]:
    """A proven one of each environment that stays and keeps data; what could not be had."""
    without = []
    for env in ctx.ledger.environments.where(kind=("production", "named"), order="site, name"):
        try:
            with ctx.lanes.of(env.site, env.name).data.hold("the backup", teller, lambda: False):
                if snapshot.keeps(ctx, env):
                    taken = snapshot.capture_now(ctx, env, actor, teller, cause=SCHEDULED)
                    snapshot.prove(ctx, taken, teller)
        except NotFound:
            continue  # nothing is live
        except GitdeployError as error:
            teller.problem(f"{env.name} of {env.site}: {error.message}")
            without.append(f"{env.site} {env.name}: {error.message}")
    return without
