"""Copies of proven snapshots in another place, for the day when this machine is gone.

    blobs/ab/<sha256>                        as in the store (docs/store-format.md)
    manifests/<artifact>                     the full manifest of a snapshot
    snapshots/<site id>/<snapshot id>.json   what the ledger says of it, signed; written last
    garbage                                  there when some of the blobs may be named by nothing any more

Where snapshots are sealed the second and third are as well, and end in `.sealed`. Work grows with what changed since
the copy before. A place belongs to one server.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace

from gitdeploy.domain import manifest_text
from gitdeploy.domain.digest import Digest
from gitdeploy.domain.manifest import Manifest
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.domain.snapshot import Snapshot
from gitdeploy.errors import Failed, GitdeployError, NotFound, NotProven
from gitdeploy.service import snapshot_record
from gitdeploy.service.context import Context
from gitdeploy.service.snapshot_record import SEALED
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock
from gitdeploy.store.elsewhere import Elsewhere, elsewhere, pieces
from gitdeploy.store.publish import NewFile

log = logging.getLogger("gitdeploy.snapshot_copy")

_GARBAGE = "garbage"
_AT_ONCE = 8
_TURN = threading.Lock()
"""Nobody sweeps while somebody copies."""


class Copier:
    """Copies what is proven, one after the other. What keeps it from doing so is told once, until it works again."""

    def __init__(self) -> None:
        self._told = ""

    def look(self, ctx: Context) -> None:
        if not ctx.server.snapshots.copy:
            return
        for one in ctx.ledger.snapshots.where(copied="", sql="verified != ''", order="number"):
            if ctx.queue.stopping.is_set():
                return
            try:
                copy(ctx, one)
            except GitdeployError as error:
                if error.message != self._told:
                    self._told = error.message
                    log.error("%s %s: %s is not copied: %s", one.site, one.env, one.name, error.message)
                    ctx.event("snapshot.copy_failed", actor="gitdeploy", site=one.site, env=one.env,
                              subject=one.name, data={"error": error.message})  # fmt: skip
                return
            self._told = ""


def copy(ctx: Context, snapshot: Snapshot) -> Snapshot:
    """Copy a snapshot, as it is stored, to where `[snapshots] copy` says. Raises Failed, NotProven."""
    place = _place(ctx)
    started = time.monotonic()
    root = Digest.parse(snapshot.artifact)
    with _TURN, ctx.store.hold(root):
        manifest = ctx.store.load(root)
        wanted = manifest.blobs - _there(ctx, snapshot, place)
        if flaw := next((one for one in wanted if not ctx.store.blob(one).exists()), None):
            raise NotProven(f"The blob {flaw.short} of {snapshot.name} is missing.", "Run: gitdeploy fsck")
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(lambda one: place.put(_blob(one), ctx.store.blob(one)), wanted):
                pass
        size = sum(ctx.store.blob(one).stat().st_size for one in wanted)
        _put(ctx, place, f"manifests/{root}", manifest_text.full_text(manifest))
        _put(ctx, place, _record(ctx, snapshot), snapshot_record.signed(ctx, snapshot))
    told = {"at": clock.now(), "to": place.name, "bytes": size, "objects": len(wanted),
            "seconds": round(time.monotonic() - started, 2)}  # fmt: skip
    with ctx.ledger.atomic():
        ctx.event("snapshot.copied", actor="gitdeploy", site=snapshot.site, env=snapshot.env,
                  subject=snapshot.name, data=told)  # fmt: skip
        return ctx.ledger.snapshots.change(snapshot, copied=json.dumps(told))


def fetch(ctx: Context, actor: Actor, site: Site, teller: Teller, *, origin: str = "") -> list[Snapshot]:
    """Bring back the snapshots of a site that are there and not here; `origin` is the id that the site had, when that
    is another. Every byte is compared with its hash, every record with its signature. Raises NotProven, Failed.
    """
    actor.need(Role.OPERATOR, site.name, "fetch snapshots")
    place = _place(ctx)
    here = {one.id for one in ctx.ledger.snapshots.where(site=site.name)}
    above = f"snapshots/{origin or site.id}"
    keys = [key for key in place.keys(above) if key.rpartition("/")[2].partition(".")[0] not in here]
    if not keys and not here:
        raise NotFound(
            f"{place.name} has no snapshots of {origin or site.id}.",
            "If the site had another id, say it: --origin site_…; see the folders below snapshots/ there.",
        )
    found = sorted(
        (snapshot_record.read(ctx, _get(ctx, place, key)) for key in keys), key=lambda one: one.number
    )
    return [_bring(ctx, place, site, one, teller) for one in found]


def forget(ctx: Context, snapshot: Snapshot) -> None:
    """Take the record of a copy away; its bytes go with the next `sweep`. What fails is left there, and said."""
    if not snapshot.copied:
        return
    same = ctx.ledger.snapshots.where(artifact=snapshot.artifact)
    keys = [_record(ctx, snapshot), *([] if same else [f"manifests/{snapshot.artifact}"])]
    try:
        place = _place(ctx)
        place.put_bytes(_GARBAGE, b"")
        place.remove(f"{key}{end}" for key in keys for end in ("", SEALED))
    except GitdeployError as error:
        log.error("%s: the copy of %s stays: %s", snapshot.site, snapshot.name, error.message)


def sweep(ctx: Context) -> int:
    """Remove the bytes over there that no copied snapshot of any site names; how many files. Call it when there may be
    some: `is_due`.
    """
    place = _place(ctx)
    with _TURN:
        named: set[str] = set()
        for key in place.keys("manifests"):
            named.update(_blob(one) for one in _manifest(ctx, place, key).blobs)
        gone = [key for key in place.keys("blobs") if key not in named]
        place.remove(gone)
        place.remove([_GARBAGE])
    return len(gone)


def is_due(ctx: Context) -> bool:
    """Whether copies were forgotten since the last sweep."""
    return bool(ctx.server.snapshots.copy) and _place(ctx).has(_GARBAGE)


# Private


def _place(ctx: Context) -> Elsewhere:
    said = ctx.server.snapshots
    if not said.copy:
        raise Failed("No place for copies is set.", "Say it in server.toml: [snapshots] copy = …")
    return elsewhere(said.copy, asdict(said))


def _there(ctx: Context, snapshot: Snapshot, place: Elsewhere) -> frozenset[Digest]:
    """What the last copy of the same environment brought there."""
    last = ctx.ledger.snapshots.where(
        site=snapshot.site, env=snapshot.env, sql="copied != ''", order="number DESC", limit=1
    )
    if not last or json.loads(last[0].copied)["to"] != place.name:
        return frozenset()
    return ctx.store.load(Digest.parse(last[0].artifact)).blobs


def _bring(ctx: Context, place: Elsewhere, site: Site, told: Snapshot, teller: Teller) -> Snapshot:
    root = Digest.parse(told.artifact)
    end = SEALED if place.has(f"manifests/{root}{SEALED}") else ""
    manifest = _manifest(ctx, place, f"manifests/{root}{end}")
    if manifest.root != root:
        raise NotProven(f"The manifest of {told.name} in {place.name} is not the one it was signed with.")
    with ctx.store.publish_whole(_files(ctx, place, manifest), like=None) as published:
        if published.manifest.root != root:
            raise NotProven(f"{told.name} in {place.name} is not what was copied there.")
        with ctx.ledger.atomic():
            now = ctx.site(site.name)
            taken = ctx.ledger.snapshots.one(site=site.name, number=told.number)
            number = told.number if taken is None else now.last_snapshot + 1
            ctx.ledger.sites.change(now, last_snapshot=max(now.last_snapshot, number))
            said = {"at": clock.now(), "to": place.name, "bytes": 0, "objects": 0, "seconds": 0}
            made = ctx.ledger.snapshots.add(
                replace(told, site=site.name, number=number, copied=json.dumps(said))
            )
            snapshot_record.keep(ctx, made)
            ctx.event("snapshot.fetched", actor="gitdeploy", site=site.name, env=made.env, subject=made.name,
                      data={"from": place.name, "artifact": made.artifact})  # fmt: skip
    teller.step(f"{made.name} of {made.env}, taken {made.created_at}: {made.bytes} bytes")
    return made


def _files(ctx: Context, place: Elsewhere, manifest: Manifest) -> Iterator[NewFile]:
    for path, entry in manifest.folder.walk():
        mine = ctx.store.blob(entry.digest)
        content = pieces(mine) if mine.exists() else place.get(_blob(entry.digest))
        yield NewFile(path, entry.kind, content)


def _manifest(ctx: Context, place: Elsewhere, key: str) -> Manifest:
    return manifest_text.read(_get(ctx, place, key))


def _put(ctx: Context, place: Elsewhere, key: str, content: bytes) -> None:
    if ctx.server.snapshots.encrypt:
        place.put_bytes(key + SEALED, b"".join(ctx.store.sealing.seal([content])))
    else:
        place.put_bytes(key, content)


def _get(ctx: Context, place: Elsewhere, key: str) -> bytes:
    found = place.get(key)
    return b"".join(ctx.store.sealing.open(found) if key.endswith(SEALED) else found)


def _blob(digest: Digest) -> str:
    return f"blobs/{digest[:2]}/{digest}"


def _record(ctx: Context, snapshot: Snapshot) -> str:
    return f"snapshots/{ctx.site(snapshot.site).id}/{snapshot.id}.json"
