"""Snapshots: databases and files of an environment at one instant; taken, proven by being restored, kept and let go."""

from __future__ import annotations

import contextlib
import json
import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gitdeploy.data import capture
from gitdeploy.data.capture import Source
from gitdeploy.domain.digest import Digest
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.length import at_most
from gitdeploy.domain.move import OPEN as MOVING
from gitdeploy.domain.release import Release
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.domain.snapshot import ASKED, LABEL_MAX, Facts, Snapshot, worth_keeping
from gitdeploy.domain.switch import SwitchRecord
from gitdeploy.errors import Busy, Failed, NotFound, NotProven
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service import policy, serving, slot, snapshot_copy, snapshot_record, surroundings
from gitdeploy.service.context import Context
from gitdeploy.service.database import CLOSED, Held
from gitdeploy.service.exchange import Exchange
from gitdeploy.service.journal import live_release
from gitdeploy.service.pause import pause
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock, durable, ids

log = logging.getLogger("gitdeploy.snapshot")

PROOF = "__proof"
"""The suffix of a database that exists while a snapshot is being proven."""
_LONGEST_PAUSE, _PATIENCE = 2.0, 0.5
"""Seconds that visitors wait at most while the instant of a snapshot is fixed; for what is under way to end."""


def take(
    ctx: Context,
    actor: Actor,
    env: Environment,
    teller: Teller,
    *,
    label: str = "",
    pinned: bool = False,
) -> Snapshot:
    """Capture an environment because somebody asked, and prove it. Raises Failed, Refused below developer."""
    actor.need(Role.DEVELOPER, env.site, f"take snapshots of {env.name}", env.name)
    at_most(LABEL_MAX, "The label", label)
    with ctx.lanes.of(env.site, env.name).data.hold(f"{actor.name}'s snapshot", teller, lambda: False):
        if ctx.ledger.moves.one(site=env.site, target=env.name, state=MOVING):
            raise Busy(
                f"Content is on its way into {env.name} of {env.site}.",
                "Wait until that is settled.",
                again=10,
            )
        taken = capture_now(ctx, env, actor.name, teller, cause=ASKED, label=label, pinned=pinned)
        return prove(ctx, taken, teller)


def capture_now(
    ctx: Context,
    env: Environment,
    actor: str,
    teller: Teller,
    *,
    cause: str,
    label: str = "",
    pinned: bool = False,
    paused: bool = False,
) -> Snapshot:
    """Capture an environment; call it holding the lane's `data`, and say so if visitors are `paused` already. Raises
    Failed when it keeps nothing.
    """
    live, held = kept(ctx, env)
    data = slot.data_folder(ctx, env, live.data)
    if not keeps(ctx, env):
        raise Failed(
            f"{env.name} of {env.site} keeps no data.",
            "Say what it keeps: [data] databases and files in gitdeploy.toml; or write it to $GITDEPLOY_DATA.",
        )
    started = time.monotonic()
    teller.step(f"snapshot of {env.name} of {env.site}")
    quiet = partial(pause, ctx, env, teller, within=_LONGEST_PAUSE, patience=_PATIENCE, turns_away=False)
    said = _Said(actor, cause, label, pinned)
    made = _store(ctx, env, live, data, sources(held), said, contextlib.nullcontext if paused else quiet)
    rows = sum(one.rows for one in made.facts.values())
    teller.detail(
        f"{made.name}: {len(held)} databases with {rows} rows, {made.files} files, {made.bytes} bytes, "
        f"{made.stored} of them new ({time.monotonic() - started:.1f} s)"
    )
    if made.newer:
        teller.problem(f"{made.newer} files were written after the instant of the databases.")
    return made


def capture_replaced(
    ctx: Context, env: Environment, brought: Exchange, record: SwitchRecord
) -> Snapshot | None:
    """Capture what a switch replaced and nobody writes to any more; None when that was gone already."""
    replaced = ctx.ledger.releases.one(site=env.site, env=env.name, slot=record.old_slot)
    data = Place(ctx.home, env.site, env.folder).data_folder(brought.replaced)
    if replaced is None or not data.is_dir():
        return None
    _, held = kept(ctx, env)
    inside = [one.in_folder(data.resolve()) for one in held if not one.server]
    given = sources([*brought.replaced_databases(), *inside])
    said = _Said("gitdeploy", f"replaced by r{record.release}", "", False)
    return _store(ctx, env, replaced, data, given, said)


def prove(ctx: Context, snapshot: Snapshot, teller: Teller) -> Snapshot:
    """Restore a snapshot into a throwaway and compare: every byte of the files, and of every table its shape, its rows
    and their sum. Raises NotProven with what is not the same, which is remembered.
    """
    started = time.monotonic()
    try:
        _prove(ctx, snapshot)
    except NotProven as error:
        with ctx.ledger.atomic():
            ctx.event("snapshot.not_proven", actor="gitdeploy", site=snapshot.site, env=snapshot.env,
                      subject=snapshot.name, data={"error": error.message})  # fmt: skip
            failed = ctx.ledger.snapshots.change(snapshot, verified="", flaw=error.message)
            snapshot_record.keep(ctx, failed)
        raise
    proof = {
        "at": clock.now(), "how": "restored into a throwaway and compared", "files": snapshot.files,
        "rows": sum(one.rows for one in snapshot.facts.values()),
        "tables": sum(len(one.tables) for one in snapshot.facts.values()),
        "seconds": round(time.monotonic() - started, 2),
    }  # fmt: skip
    with ctx.ledger.atomic():
        ctx.event("snapshot.verified", actor=snapshot.actor, site=snapshot.site, env=snapshot.env,
                  subject=snapshot.name, data=proof)  # fmt: skip
        proven = ctx.ledger.snapshots.change(snapshot, verified=json.dumps(proof), flaw="")
        snapshot_record.keep(ctx, proven)
    teller.done(f"{snapshot.name} is proven: restored and compared ({proof['seconds']} s)")
    return proven


def listing(
    ctx: Context, site: Site, env: Environment | None = None, *, before: int = 1 << 40, limit: int = -1
) -> list[Snapshot]:
    """Newest first; `before` is the number of the last one already seen."""
    where: dict[str, Any] = {"env": env.name} if env else {}
    return ctx.ledger.snapshots.where(
        site=site.name, order="number DESC", limit=limit, sql="number < ?", given=(before,), **where
    )


def find(ctx: Context, site: Site, name: str) -> Snapshot:
    """By `s12`, its id, its label, or `latest`. Raises NotFound."""
    number = name.removeprefix("s")
    by: list[dict[str, Any]] = [{"id": name}, {"label": name}]
    if number.isdigit():
        by.insert(0, {"number": int(number)})
    if name == "latest":
        by = [{}]
    for where in by:
        found = ctx.ledger.snapshots.one(site=site.name, order="number DESC", **where)
        if found is not None:
            return found
    raise NotFound(f"{site.name} has no snapshot {name!r}.", f"See: gitdeploy snapshot list {site.name}")


def let_go(ctx: Context, site: Site) -> None:
    """Forget the older ones of those that nobody asked for."""
    scheduled = policy.of_site(site, ctx.repository(site.name)).data.keep
    found = listing(ctx, site)
    for env in {one.env for one in found}:
        mine = [one for one in found if one.env == env]
        kept_numbers = worth_keeping(mine, scheduled=scheduled)
        for one in mine:
            if one.number not in kept_numbers:
                _forget(ctx, one, "gitdeploy")


def prove_waiting(ctx: Context) -> None:
    """Prove what was captured by itself, one after the other, in nobody's way. What failed once is not tried again."""
    for one in ctx.ledger.snapshots.where(verified="", flaw="", order="number DESC"):
        now = ctx.ledger.snapshots.get(one.id)
        if now is None or now.verified or ctx.queue.stopping.is_set():
            continue
        try:
            prove(ctx, one, Teller())
        except NotProven as error:
            log.error("%s %s: %s", one.site, one.env, error.message)


def remove(ctx: Context, actor: Actor, site: Site, snapshot: Snapshot) -> None:
    """Forget a snapshot; its bytes go with the next collection. Raises Refused for a pinned one."""
    actor.need(Role.MAINTAINER, site.name, "remove snapshots")
    if snapshot.pinned:
        raise Failed(
            f"{snapshot.name} is pinned.", f"gitdeploy snapshot pin --off {site.name} {snapshot.name}"
        )
    _forget(ctx, snapshot, actor.name)


def pin(ctx: Context, actor: Actor, site: Site, snapshot: Snapshot, pinned: bool) -> Snapshot:
    actor.need(Role.MAINTAINER, site.name, "pin snapshots")
    with ctx.ledger.atomic():
        ctx.event("snapshot.pinned" if pinned else "snapshot.unpinned", actor=actor.name, site=site.name,
                  env=snapshot.env, subject=snapshot.name)  # fmt: skip
        return snapshot_record.keep(ctx, ctx.ledger.snapshots.change(snapshot, pinned=pinned))


def kept(ctx: Context, env: Environment) -> tuple[Release, list[Held]]:
    """What is live in an environment, and the databases that it keeps beside its data folder.

    Raises NotFound when nothing is live.
    """
    live = live_release(ctx, env.site, env.name)
    if live is None:
        raise NotFound(f"Nothing is live in {env.name} of {env.site}.", "Push to it first.")
    if live.serves != "app":
        return live, []
    return live, surroundings.databases(ctx, env, live, serving.settings(ctx, live))


def keeps(ctx: Context, env: Environment) -> bool:
    """Whether there is anything to capture."""
    live, held = kept(ctx, env)
    return bool(held) or any(slot.data_folder(ctx, env, live.data).iterdir())


def sources(held: Sequence[Held]) -> list[Source]:
    return [Source(one.name, one.engine, one.url) for one in held]


def work(ctx: Context) -> Path:
    """Where dumps lie on their way into the store and out of it."""
    durable.make_folder(ctx.home.work)
    return ctx.home.work


# Private


def _forget(ctx: Context, snapshot: Snapshot, actor: str) -> None:
    with ctx.ledger.atomic():
        snapshot_record.forget(ctx, snapshot)
        ctx.ledger.snapshots.remove(snapshot)
        ctx.event(
            "snapshot.removed", actor=actor, site=snapshot.site, env=snapshot.env, subject=snapshot.name
        )
    snapshot_copy.forget(ctx, snapshot)


@dataclass(frozen=True)
class _Said:
    actor: str
    cause: str
    label: str
    pinned: bool


def _store(
    ctx: Context,
    env: Environment,
    release: Release,
    data: Path,
    databases: list[Source],
    said: _Said,
    quiet: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
) -> Snapshot:
    last = ctx.ledger.snapshots.one(site=env.site, env=env.name, order="number DESC")
    index = ctx.home.snapshots / ctx.site(env.site).id / f"{env.folder}.seen"
    place = capture.Place(data, databases, index, work(ctx), sealed=ctx.server.snapshots.encrypt)
    captured = capture.capture(ctx.store, place, Digest.parse(last.artifact) if last else None, quiet)
    with captured.published as published, ctx.ledger.atomic():
        manifest = published.manifest
        site = ctx.site(env.site)
        number = site.last_snapshot + 1
        ctx.ledger.sites.change(site, last_snapshot=number)
        made = ctx.ledger.snapshots.add(
            Snapshot(
                id=ids.new("snap"), site=env.site, number=number, env=env.name, created_at=clock.now(),
                actor=said.actor, artifact=manifest.root, bytes=manifest.bytes, files=_files(manifest),
                stored=captured.stored, release=release.number, label=said.label, cause=said.cause,
                databases=json.dumps({name: one.as_json() for name, one in captured.facts.items()}),
                pinned=said.pinned, newer=captured.newer,
            )
        )  # fmt: skip
        ctx.event("snapshot.taken", actor=said.actor, site=env.site, env=env.name, subject=made.name,
                  data={"cause": said.cause, "label": said.label, "artifact": made.artifact,
                        "newer": made.newer})  # fmt: skip
        return snapshot_record.keep(ctx, made)


def _files(manifest: Any) -> int:
    return sum(1 for path in manifest if path.startswith(capture.FILES))


def _prove(ctx: Context, snapshot: Snapshot) -> None:
    artifact = Digest.parse(snapshot.artifact)
    with (
        ctx.proofs[snapshot.id],  # two at a time would take each other's throwaways away
        ctx.store.hold(artifact),
        tempfile.TemporaryDirectory(dir=work(ctx)) as folder,
    ):
        ctx.store.check(artifact)
        for name, expected in snapshot.facts.items():
            _prove_database(ctx, snapshot, name, expected, Path(folder))


def _prove_database(ctx: Context, snapshot: Snapshot, name: str, expected: Facts, folder: Path) -> None:
    env = ctx.ledger.environments.get(snapshot.site, snapshot.env)
    _, held = kept(ctx, env) if env else (None, [])
    one = next((one for one in held if one.name == name), None)
    if one is None:
        raise NotProven(f"{snapshot.env} has no database {name} any more to compare {snapshot.name} with.")
    server = one.server
    suffix = f"{PROOF}{snapshot.number}"
    url = server.beside(one.admin, one.url, suffix) if server else f"sqlite:///{folder / 'proof.db'}"
    engine = server or CLOSED
    try:
        capture.restore(
            ctx.store, Digest.parse(snapshot.artifact), data=None, databases=[Source(name, engine, url)],
            work=folder,
        )  # fmt: skip
        with engine.instant(url) as instant:
            difference = expected.differs_from(instant.facts())
    finally:
        if server:
            server.remove(one.admin, one.url, suffix)
    if difference:
        raise NotProven(
            f"{snapshot.name} cannot be relied on: restored, {difference} ({name}).",
            f"Take another: gitdeploy snapshot take {snapshot.site} --env {snapshot.env}",
        )
