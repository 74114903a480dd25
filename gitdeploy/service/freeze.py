"""Freezes: times in which nothing goes live, by the site's own settings or because somebody declared one. A rollback
always may, and previews go on.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

from gitdeploy.domain import freeze as rules
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.freeze import Freeze, Window
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.options import Options
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.schedule import moment
from gitdeploy.domain.site import Site
from gitdeploy.errors import Busy, Invalid, NotFound
from gitdeploy.service import policy
from gitdeploy.service.context import Context
from gitdeploy.store import clock, ids


def add(
    ctx: Context, actor: Actor, site: Site, env: Environment, begins: str, ends: str, reason: str
) -> Freeze:
    """Let nothing go live in production or a named environment between two moments (ISO 8601 with a zone; `begins` may
    be "", for now).
    """
    actor.need(Role.MAINTAINER, site.name, f"freeze {env.name}", env.name)
    if env.kind == "preview":
        raise Invalid(f"{env.name} is a preview, and previews go on.", "Freeze production, or staging.")
    begins, ends = moment(begins) if begins else clock.now(), moment(ends)
    rules.check(begins, ends, reason, clock.now())
    row = Freeze(ids.new("frz"), site.name, env.name, begins, ends, reason.strip(), actor.name, clock.now())
    with ctx.ledger.atomic():
        ctx.event("freeze.added", actor=actor.name, site=site.name, env=env.name, subject=row.id,
                  data={"begins": begins, "ends": ends, "reason": row.reason})  # fmt: skip
        return ctx.ledger.freezes.add(row)


def remove(ctx: Context, actor: Actor, site: Site, id: str) -> Freeze:
    """`id`, or an ending of it that no other has. Those of gitdeploy.toml are removed there."""
    found = [
        one for one in ctx.ledger.freezes.where(site=site.name) if one.id.lower().endswith(id.lower()) and id
    ]
    if len(found) != 1:
        raise NotFound(f"{site.name} has no freeze {id[:40]!r}.", f"See: gitdeploy freeze list {site.name}")
    (row,) = found
    actor.need(Role.MAINTAINER, site.name, f"unfreeze {row.env}", row.env)
    with ctx.ledger.atomic():
        ctx.event("freeze.removed", actor=actor.name, site=site.name, env=row.env, subject=row.id)
        ctx.ledger.freezes.remove(row)
    return row


def declared(ctx: Context, site: Site) -> list[Freeze]:
    """Those that hold or are to come, the next one first."""
    return ctx.ledger.freezes.where(site=site.name, sql="ends > ?", given=(clock.now(),), order="begins")


def settled(ctx: Context, site: Site) -> dict[str, tuple[str, ...]]:
    """What gitdeploy.toml says, by environment."""
    settings = policy.of_site(site, ctx.repository(site.name))
    said = {PRODUCTION: settings.production.freeze}
    said |= {name: one.freeze for name, one in settings.environments.items()}
    return {name: windows for name, windows in said.items() if windows}


def holding(ctx: Context, site: Site, env: str, at: str = "") -> Window | None:
    """What nothing may go live in `env` for, now or at a moment (UTC ISO 8601); None when it may."""
    when = datetime.fromisoformat(at) if at else datetime.now(UTC)
    rows = ctx.ledger.freezes.where(site=site.name, env=env)
    return rules.holding(when, settled(ctx, site).get(env, ()), rows)


def refuse(ctx: Context, env: Environment) -> None:
    """Raises Busy while `env` is frozen."""
    site = ctx.site(env.site)
    if env.kind != "preview" and (window := holding(ctx, site, env.name)) is not None:
        raise _frozen(site, env.name, window)


def allow(ctx: Context, actor: Actor, site: Site, env: str, options: Options) -> None:
    """The same before anything is built; of what waits for its hour it is that hour that counts. Raises Refused when
    a freeze is to be overridden by somebody who may not.
    """
    if options.override_freeze:
        actor.need(Role.OPERATOR, site.name, f"override a freeze of {env}", env)
    elif not options.rehearse and (window := holding(ctx, site, env, options.at)) is not None:
        raise _frozen(site, env, window)


def say_overridden(ctx: Context, env: Environment, actor: str, reason: str) -> None:
    """Write down that something goes live in spite of a freeze; nothing when there is none."""
    window = None if env.kind == "preview" else holding(ctx, ctx.site(env.site), env.name)
    if window is not None:
        ctx.event("freeze.overridden", actor=actor, site=env.site, env=env.name,
                  data={"freeze": window.said, "reason": reason})  # fmt: skip


# Private


def _frozen(site: Site, env: str, window: Window) -> Busy:
    until = f" until {window.end}" if window.end else ""
    then = f"Let it go live then: -o at={window.end} (--at). " if window.end else ""
    end = datetime.fromisoformat(window.end) if window.end else None
    again = math.ceil(max((end - datetime.now(UTC)).total_seconds(), 1)) if end else 0
    return Busy(
        f"{env} of {site.name} is frozen{until}: {window.said}.",
        f"{then}If it cannot wait, an operator says: -o override-freeze -o reason=…",
        again=again,
    )
