"""What older code would meet: today's databases against those that a release was live with."""

from __future__ import annotations

import json

from gitdeploy.domain.environment import Environment
from gitdeploy.domain.release import Release
from gitdeploy.domain.schema import Change
from gitdeploy.domain.snapshot import Snapshot
from gitdeploy.errors import Refused
from gitdeploy.service import database, down_migration, snapshot
from gitdeploy.service.context import Context
from gitdeploy.service.database import Held
from gitdeploy.service.teller import Teller

_NAMED = 5  # tables or sentences


def refuse_across(ctx: Context, env: Environment, goal: Release, *, forced: bool, teller: Teller) -> None:
    """Raises Refused when the code of `goal` would miss something in today's databases, naming table and column, with
    what can be done instead. What was only added is no trouble; what is not known to be is said.
    """
    live, held = snapshot.kept(ctx, env)
    if goal.serves != "app" or goal.number == live.number:
        return
    for name, change in database.since(ctx, goal, held).items():
        said = f"{name} since {goal.name}: {_list(change)}"
        if change.verdict == "destructive" and not forced:
            raise Refused(
                f"{goal.name} would not find its database as it left it: {change.destructive[0]}.",
                _plan(ctx, env, live, goal, next(one for one in held if one.name == name)),
            )
        if change.verdict != "same":
            teller.detail(said)


def crossed(ctx: Context, env: Environment, goal: Release) -> bool:
    """Whether the code of `goal` would miss something in today's databases."""
    _, held = snapshot.kept(ctx, env)
    return any(one.verdict == "destructive" for one in database.since(ctx, goal, held).values())


def way_back(ctx: Context, env: Environment, goal: Release) -> Snapshot | None:
    """The newest snapshot with which the code of `goal` finds its databases as it left them."""
    _, held = snapshot.kept(ctx, env)
    found = (_before(ctx, env, goal, one.name) for one in held)
    return next((one for one in found if one is not None), None)


def _list(change: Change) -> str:
    found = [*change.destructive, *change.unknown, *change.additive]
    more = f", and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ", ".join(found[:_NAMED]) + more


def _plan(ctx: Context, env: Environment, live: Release, goal: Release, held: Held) -> str:
    option = "" if env.name == "production" else f"-o env={env.name} "
    order = f"managed HEAD:rollback/{goal.name}"
    declared = down_migration.declared(ctx, live, goal)
    steps = [
        f"Migrate down with `{declared.command}`, on a copy first: git push {option}-o rehearse {order}"
        if declared
        else f"{live.name} declares no way to migrate down ([processes] down in gitdeploy.toml).",
        f"Take the code alone: git push {option}-o force-schema -o reason=… {order}",
        "With -o rehearse as well, it is only tried, on a copy of today's data.",
    ]
    taken = _before(ctx, env, goal, held.name)
    if taken is not None:
        steps.insert(
            0,
            f"Go back with code and data together: gitdeploy snapshot restore --code {env.site} {taken.name} "
            f"(taken {taken.created_at}; {_since(taken, held)}).",
        )
    return "\n".join(steps)


def _before(ctx: Context, env: Environment, goal: Release, name: str) -> Snapshot | None:
    """The newest snapshot with the databases that `goal` knows, whose code is `goal`'s."""
    wanted = json.loads(goal.schemas).get(name, {}).get("after")
    for one in ctx.ledger.snapshots.where(site=env.site, env=env.name, order="number DESC"):
        of = ctx.ledger.releases.one(site=env.site, number=one.release)
        facts = one.facts.get(name)
        if facts and facts.schema.fingerprint == wanted and of is not None and of.artifact == goal.artifact:
            return one
    return None


def _since(taken: Snapshot, held: Held) -> str:
    """How many rows came and went since, table by table."""
    with held.engine.instant(held.url) as instant:
        now = instant.facts().tables
    then = taken.facts[held.name].tables
    moved = {
        table: (now[table].rows if table in now else 0) - (then[table].rows if table in then else 0)
        for table in sorted({*now, *then})
    }
    changed = [f"{table} {count:+d}" for table, count in moved.items() if count]
    return f"rows since: {', '.join(changed[:_NAMED])}" if changed else "no rows came or went since"
