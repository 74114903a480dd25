"""What is known of a snapshot, signed, as a file: it lies in the home beside the ledger, and with every copy elsewhere.

    snapshots/<site id>/<snapshot id>.json      or .json.sealed, where snapshots are sealed

With it `recover` knows a snapshot again whose bytes are still in the store.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from gitdeploy.domain.digest import Digest
from gitdeploy.domain.site import Site
from gitdeploy.domain.snapshot import Snapshot
from gitdeploy.errors import GitdeployError
from gitdeploy.service.context import Context
from gitdeploy.service.teller import Teller
from gitdeploy.store import durable

PAYLOAD_TYPE = "application/vnd.gitdeploy.snapshot+json"
SEALED = ".sealed"
_OURS = ("copied", "expires_at", "flaw")
"""What is true here alone."""


def signed(ctx: Context, snapshot: Snapshot) -> bytes:
    said = {name: value for name, value in asdict(snapshot).items() if name not in _OURS}
    return ctx.store.keys.sign(PAYLOAD_TYPE, json.dumps(said, sort_keys=True).encode())


def read(ctx: Context, text: bytes) -> Snapshot:
    """Raises NotProven for what nobody trusted has signed."""
    said: dict[str, Any] = json.loads(ctx.store.keys.open(text, PAYLOAD_TYPE))
    known = {one.name for one in fields(Snapshot)}
    return Snapshot(**{name: value for name, value in said.items() if name in known})


def keep(ctx: Context, snapshot: Snapshot) -> Snapshot:
    """Have the home hold what is known of it now. Raises Failed when the disk is full."""
    file = _file(ctx, snapshot)
    durable.make_folder(file.parent, mode=0o700)
    text = signed(ctx, snapshot)
    if ctx.server.snapshots.encrypt:
        file, text = file.with_name(file.name + SEALED), b"".join(ctx.store.sealing.seal([text]))
    durable.write_file(file, text, mode=0o600)
    return snapshot


def forget(ctx: Context, snapshot: Snapshot) -> None:
    file = _file(ctx, snapshot)
    for one in (file, file.with_name(file.name + SEALED)):
        if one.exists():
            durable.remove(one)


def recover(ctx: Context, site: Site, teller: Teller) -> None:
    """Write those of a site down again that the home knows and the store still has."""
    found: dict[str, Snapshot] = {}
    for file in sorted((ctx.home.snapshots / site.id).glob("snap_*.json*")):
        try:
            text = file.read_bytes()
            if file.suffix == SEALED:
                text = b"".join(ctx.store.sealing.open([text]))
            one = read(ctx, text)
            ctx.store.load(Digest.parse(one.artifact))
        except GitdeployError as error:
            teller.problem(f"{file.name} is left out: {error.message}", error.hint)
            continue
        found[one.id] = replace(one, site=site.name)
    for one in found.values():
        ctx.ledger.snapshots.add(one)
    last = max((one.number for one in found.values()), default=0)
    ctx.ledger.sites.change(ctx.site(site.name), last_snapshot=last)
    if found:
        teller.detail(f"{site.name}: {len(found)} snapshots")


# Private


def _file(ctx: Context, snapshot: Snapshot) -> Path:
    return ctx.home.snapshots / ctx.site(snapshot.site).id / f"{snapshot.id}.json"
