"""Rehearse, then do: one mechanism for restores, cutovers, migrations, rollbacks and clones.

A rehearsal is remembered with all that its outcome depends on. The real run asks `require`: it goes on only while
that is still so, where somebody named a rehearsal or `rehearse` in gitdeploy.toml wants one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gitdeploy.domain.environment import Environment
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.rehearsal import HASH, Inputs, Rehearsal
from gitdeploy.domain.site import Site
from gitdeploy.errors import Failed, NotFound, Refused
from gitdeploy.service import policy
from gitdeploy.service.context import Context
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock, ids


class Rehearsed(Failed):
    """It went well on copies, and nothing changed, because that is what was asked for."""

    code = "rehearsed"
    exit_code = 0
    http_status = 200

    def __init__(self, rehearsal: Rehearsal, how: str) -> None:
        super().__init__(f"rehearsed as {rehearsal.id}: nothing was changed", how)
        self.rehearsal = rehearsal


def remember(
    ctx: Context,
    env: Environment,
    verb: str,
    subject: str,
    inputs: Inputs,
    *,
    actor: str,
    seconds: float,
    pause: float,
    findings: Mapping[str, Any],
    error: str = "",
) -> Rehearsal:
    """Write down how a rehearsal went; one with an `error` allows nothing."""
    row = Rehearsal(
        id=ids.new("reh"), site=env.site, env=env.name, verb=verb, subject=subject, inputs=inputs.digest,
        described=json.dumps(dict(inputs.said)), created_at=clock.now(), actor=actor, seconds=round(seconds, 2),
        pause=round(pause, 2), findings=json.dumps(findings), error=error,
    )  # fmt: skip
    told = {"verb": verb, "subject": subject, "inputs": row.inputs, "error": error}
    action = "rehearsal.failed" if error else "rehearsal.done"
    with ctx.ledger.atomic():
        ctx.event(action, actor=actor, site=env.site, env=env.name, subject=row.id, data=told)
        return ctx.ledger.rehearsals.add(row)


def require(
    ctx: Context, env: Environment, verb: str, subject: str, inputs: Inputs, given: str = ""
) -> Rehearsal | None:
    """The rehearsal that allows the real run, None where nobody asked for one. `given` is its id or digest; without it
    any will do that was of just this. Raises Refused, with what is no longer as it was then.
    """
    if given:
        found = find(ctx, ctx.site(env.site), given)
        if (found.env, found.verb, found.subject) != (env.name, verb, subject):
            wanted = Rehearsal("", env.site, env.name, verb, subject, "", "", "", "", 0, 0, "")
            raise Refused(f"{found.id} rehearsed {found.about}, and this is {wanted.about}.", _again(env))
        _refuse_unlike(env, found, inputs)
        return found
    if not demanded(ctx, env, verb):
        return None
    asked: dict[str, Any] = {"site": env.site, "env": env.name, "verb": verb, "subject": subject}
    found_so = ctx.ledger.rehearsals.one(order="id DESC", inputs=inputs.digest, error="", **asked)
    if found_so is not None:
        return found_so
    newest = ctx.ledger.rehearsals.one(order="id DESC", **asked)
    if newest is not None:
        _refuse_unlike(env, newest, inputs)
    raise Refused(f"{env.name} asks for every {verb} to be rehearsed first.", _again(env))


def demanded(ctx: Context, env: Environment, verb: str) -> bool:
    """Whether what is live says that an environment wants this rehearsed."""
    settings = policy.of_site(ctx.site(env.site), ctx.repository(env.site)).of(env.name)
    return settings is not None and verb in settings.rehearse


def find(ctx: Context, site: Site, name: str) -> Rehearsal:
    """By its id, by the digest of its inputs (the newest), or `latest`. Raises NotFound."""
    by: dict[str, Any] = {} if name == "latest" else {"inputs" if len(name) == HASH else "id": name}
    found = ctx.ledger.rehearsals.one(site=site.name, order="id DESC", **by)
    if found is None:
        raise NotFound(
            f"{site.name} has no rehearsal {name[:40]!r}.", f"See: gitdeploy rehearsal list {site.name}"
        )
    return found


def listing(
    ctx: Context, site: Site, env: Environment | None = None, *, before: str = "~", limit: int = 50
) -> list[Rehearsal]:
    """Newest first; `before` is the id of the last one already seen."""
    where: dict[str, Any] = {"env": env.name} if env else {}
    return ctx.ledger.rehearsals.where(
        site=site.name, order="id DESC", limit=limit, sql="id < ?", given=(before,), **where
    )


def tell(found: Rehearsal, teller: Teller) -> None:
    """What a rehearsal found, for whoever asked for it."""
    said = found.found
    for name, one in said.get("databases", {}).items():
        changes = one["schema"]["changes"]
        teller.detail(f"{name}: schema {', '.join(changes) if changes else 'unchanged'}")
        moved = [
            f"{table} {was if was is not None else 'new'} -> {rows if rows is not None else 'gone'}"
            for table, (was, rows) in one["tables"].items()
            if was != rows
        ]
        teller.detail(f"{name}: rows {', '.join(moved) if moved else 'as many in every table'}")
    steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in said.get("seconds", {}).items())
    teller.detail(f"timings: {steps}")
    if found.pause:
        teller.detail(f"expect about {found.pause:.1f} s without databases")
    teller.done(f"{found.about} is rehearsed: {found.id} ({found.seconds:.1f} s)")


# Private


def _refuse_unlike(env: Environment, found: Rehearsal, inputs: Inputs) -> None:
    if found.error:
        raise Refused(f"The rehearsal {found.id} failed: {found.error}", _again(env))
    changed = inputs.changed_since(found.of)
    if changed:
        raise Refused(f"Since the rehearsal {found.id}, {', '.join(changed)}.", _again(env))


def _again(env: Environment) -> str:
    option = "" if env.name == PRODUCTION else f" of {env.name}"
    return f"Rehearse it{option}: the same push with -o rehearse, or the same command with --rehearse."
