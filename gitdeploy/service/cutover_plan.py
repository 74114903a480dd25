"""What a cutover would do: may this preview be production's data, what would be lost, on what does it depend."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gitdeploy.data.capture import FILES, LINKS
from gitdeploy.domain.digest import Digest
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.rehearsal import HASH, Inputs
from gitdeploy.domain.release import Release
from gitdeploy.domain.schema import difference
from gitdeploy.domain.site import Site
from gitdeploy.domain.snapshot import Facts, Snapshot
from gitdeploy.errors import Refused
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service import base, database, exchange, history, snapshot, surroundings
from gitdeploy.service.context import Context
from gitdeploy.service.database import Held
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock

SOON = 48 * 3600.0
"""Seconds before the end of a preview's time from which on it is warned of."""
_NAMED = 8  # tables


@dataclass(frozen=True)
class Sides:
    """Production with what is live there and what it keeps, and the preview that is to take the place of that."""

    production: Environment
    live: Release
    held: list[Held]
    preview: Environment
    shown: Release
    its: list[Held]


def sides(ctx: Context, site: Site, name: str) -> Sides:
    """Raises Refused unless the preview `name` is ready, has time left, and keeps what production keeps."""
    preview = history.environment_of(ctx, site, name)
    if preview.kind != "preview":
        raise Refused(f"{preview.name} is no preview.", f"See: gitdeploy previews {site.name}")
    if preview.state != "ready":
        raise Refused(
            f"The preview {preview.name} is {preview.state}, not ready.", "Wait for it, or mend it."
        )
    if preview.expires_at is not None and preview.expires_at <= clock.now():
        raise Refused(f"The time of the preview {preview.name} is over.", extending(preview))
    production = history.environment_of(ctx, site, PRODUCTION)
    live, held = snapshot.kept(ctx, production)
    shown, its = snapshot.kept(ctx, preview)
    known = base.read(Place(ctx.home, site.name, preview.folder).base_folder(shown.data))
    if known is not None and known.masked:
        raise Refused(
            f"The preview {preview.name} holds personal data masked: {', '.join(known.masked)}.",
            f"Take its content without that: gitdeploy clone {site.name} --from {preview.name} --to production",
        )
    mine, other = {one.name for one in held}, {one.name for one in its}
    if live.serves != "app" or shown.serves != "app" or not snapshot.keeps(ctx, production):
        raise Refused(f"Production of {site.name} keeps no data that a preview could replace.", "Promote it.")
    if mine != other:
        raise Refused(
            f"The preview {preview.name} has {_said(other)}, and production has {_said(mine)}.",
            "A cutover needs the same databases on both sides: merge the preview's settings first.",
        )
    return Sides(production, live, held, preview, shown, its)


def refuse_destructive(both: Sides, taken: Mapping[str, Facts], *, forced: bool, teller: Teller) -> None:
    """Raises Refused when production's code would miss something in the preview's databases; says what differs."""
    for name, shape in database.shapes(both.held).items():
        change = difference(shape, taken[name].schema)
        if change.destructive and not forced:
            raise Refused(
                f"{both.live.name} would not find its database as it left it: {change.destructive[0]}.",
                f"Merge {both.preview.branch} and push that first; or say force-schema with a reason.",
            )
        for said in (*change.destructive, *change.unknown, *change.additive):
            teller.detail(f"{name}: {said}")


def loss(ctx: Context, both: Sides, now: Mapping[str, Facts], its: Mapping[str, Facts]) -> dict[str, Any]:
    """What production has that the preview has not: `{since, tables}`. `since` names the snapshot of production that
    the preview was filled from, None where it was not; `tables` has by `database/table` the rows then and now. Without
    a snapshot the rows of the preview stand for those of then.
    """
    filled = _base(ctx, both)
    then = filled.facts if filled else its
    tables = {
        f"{name}/{table}": [then[name].tables[table].rows if table in then[name].tables else 0, count.rows]
        for name, facts in now.items()
        if name in then
        for table, count in facts.tables.items()
        if then[name].tables.get(table) != count
    }
    return {"since": filled.name if filled else None, "tables": tables}


def say_loss(found: Mapping[str, Any], teller: Teller) -> None:
    since, tables = found["since"], found["tables"]
    then = f"since {since}, which the preview was filled from" if since else ""
    if not tables:
        teller.detail(
            f"production has not changed {then}" if since else "production's rows are the preview's"
        )
        return
    said = [f"{table} {was} -> {now}" if since else f"{table} {now} here and {was} there"
            for table, (was, now) in tables.items()]  # fmt: skip
    more = f", and {len(said) - _NAMED} more" if len(said) > _NAMED else ""
    what = f"Rows of production changed {then}" if since else "Rows of production are not the preview's"
    teller.problem(
        f"{what}: {', '.join(said[:_NAMED])}{more}.",
        "A cutover puts the preview's in their place: these will be in the backup alone.",
    )


def inputs(ctx: Context, both: Sides, taken: Snapshot) -> Inputs:
    """The preview as it was captured, and production's code, configuration and shapes. Not production's rows, which
    change all the time.
    """
    number = surroundings.config_number(ctx, both.production)
    said = {
        "the preview's release": f"{both.shown.name} {both.shown.artifact[:12]}",
        "the preview's files": _files(ctx, taken),
        "what is live": both.live.name,
        "the configuration": f"c{number}" if number else "",
    }
    for name, shape in database.shapes(both.held).items():
        said[f"the shape of {name}"] = shape.fingerprint
        said[f"the preview's shape of {name}"] = taken.facts[name].schema.fingerprint
    for name, facts in taken.facts.items():
        for table, count in facts.tables.items():
            said[f"the preview's {name}/{table}"] = f"{count.rows} rows ({count.sum})"
    return Inputs(said)


def say_time(preview: Environment, teller: Teller) -> None:
    """Warn of a preview that may be gone before anybody comes to it."""
    if preview.expires_at is not None and preview.expires_at <= clock.later(SOON):
        teller.problem(f"The preview {preview.name} ends at {preview.expires_at}.", extending(preview))


def extending(preview: Environment) -> str:
    return f"Give it more time: gitdeploy preview extend {preview.site} {preview.branch} --ttl 14d"


# Private


def _base(ctx: Context, both: Sides) -> Snapshot | None:
    """The snapshot of production that the preview was last filled from."""
    preview = both.preview
    for record in ctx.ledger.switches.where(site=preview.site, env=preview.name, order="id DESC"):
        brought = exchange.opened(ctx, record) if record.phase in ("retiring", "done") else None
        if brought is not None and brought.filled:
            found = _snapshot(ctx, preview.site, brought.filled)
            return found if found is not None and found.env == PRODUCTION else None
    return None


def _snapshot(ctx: Context, site: str, name: str) -> Snapshot | None:
    """A snapshot by its name, if it is still there."""
    return ctx.ledger.snapshots.one(site=site, number=int(name.removeprefix("s")))


def _files(ctx: Context, taken: Snapshot) -> str:
    manifest = ctx.store.load(Digest.parse(taken.artifact))
    lines = [
        b" ".join((entry.kind.encode(), entry.digest.encode(), path))
        for path, entry in manifest.folder.walk()
        if path.startswith(FILES) or path == LINKS
    ]
    return hashlib.sha256(b"\n".join(sorted(lines))).hexdigest()[:HASH]


def _said(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "no databases"
