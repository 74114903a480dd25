"""What changes is shipped to where standbys fetch it, within seconds; and how far behind each of them is.

A shipment is a list of every file of the home, as in a backup, without a snapshot being taken for it. Its id begins
with the number of the term, so what a server that was replaced still ships is older than anything of its successor.
"""

from __future__ import annotations

import dataclasses
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gitdeploy
from gitdeploy.domain.backup import Contents, Item
from gitdeploy.errors import GitdeployError
from gitdeploy.service import backup_files, snapshot
from gitdeploy.service.context import Context
from gitdeploy.service.lead import elapsed
from gitdeploy.store import clock, ids
from gitdeploy.store.backup_place import BackupPlace
from gitdeploy.store.elsewhere import elsewhere
from gitdeploy.store.terms import Terms

PREFIX = "shp"
_KEPT = 3
_COLLECT = 3600.0  # seconds
_AT_ONCE = 8
_REST = 2.0
"""Times as long as a shipment took the next one waits, so that a large home is not read all the time."""


class Shipper:
    """Ships what has changed since it last looked."""

    def __init__(self) -> None:
        self._place: BackupPlace | None = None
        self._shipped: object = None
        self._before: dict[str, Item] = {}
        self._stored: set[str] = set()
        self._collected = float("-inf")
        self._rests = 0.0  # until then
        self._said_last = False

    def look(self, ctx: Context) -> None:
        """Raises Failed when the place refuses."""
        said = ctx.server.standby
        if not said.to or not ctx.lead.settled or self._said_last:
            return
        if ctx.lead.overtaken is None and not ctx.lead.confirmed:
            return
        last = ctx.lead.overtaken is not None
        try:
            place = elsewhere(said.to, dataclasses.asdict(said))
            if self._place is None:
                self._place = BackupPlace(place, said.password, new=True)
            now = _stamp(ctx)
            if now != self._shipped:
                ctx.standbys.changed()
                if last or elapsed() >= self._rests:
                    began = elapsed()
                    self._ship(ctx, self._place)
                    self._shipped = now
                    self._rests = elapsed() + _REST * (elapsed() - began)
            if not last:
                self._place.forget(_KEPT)
                self._collect(self._place)
            self._said_last = last
            ctx.standbys.heard(Terms(place).followers())
            ctx.standbys.failure = ""
        except GitdeployError as error:
            ctx.standbys.failure = error.message
            raise

    def _ship(self, ctx: Context, place: BackupPlace) -> None:
        assert ctx.lead.claim is not None
        with ctx.store.hold_all(), tempfile.TemporaryDirectory(dir=snapshot.work(ctx)) as work:
            found = list(backup_files.files(ctx, Path(work), self._before))
            if not self._stored:
                self._stored = place.stored()
            new = {one.item.digest: one for one in found if place.object(one.item.digest) not in self._stored}
            with ThreadPoolExecutor(_AT_ONCE) as pool:
                for _ in pool.map(
                    lambda one: place.put(one.item.digest, one.source, Path(work)), new.values()
                ):
                    pass
        contents = Contents(
            f"{ctx.lead.claim.number:08}-{ids.new(PREFIX)}", clock.now(), gitdeploy.__version__,
            backup_files.folders(ctx.home, found), tuple(one.item for one in found),
        )  # fmt: skip
        place.write(contents)
        self._stored |= {place.object(digest) for digest in new}
        self._before = {one.item.path: one.item for one in found}
        ctx.standbys.shipped(contents.id)

    def _collect(self, place: BackupPlace) -> None:
        if elapsed() - self._collected > _COLLECT:
            place.collect()
            self._stored = place.stored()
            self._collected = elapsed()


def _stamp(ctx: Context) -> object:
    """Changes whenever the ledger does, and all that matters is written down in there sooner or later."""
    found = []
    for end in ("", "-wal"):
        path = ctx.home.ledger.with_name(ctx.home.ledger.name + end)
        if path.exists():
            seen = path.stat()
            found.append((seen.st_mtime_ns, seen.st_size))
    return found
