"""Down-migrations: what is live takes its databases back to the shape that an older release knows.

The live code alone knows how, by its `down` command. It is given a copy of the data and the files of the older release,
and what comes of it has to have just the shape that release was live with. What it made of the copy then takes
the place of the data, in a pause in which nobody writes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gitdeploy.domain.app import DOWN
from gitdeploy.domain.digest import Digest
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.manifest import Manifest
from gitdeploy.domain.release import Release
from gitdeploy.domain.snapshot import Facts
from gitdeploy.domain.tree import Folder
from gitdeploy.errors import Failed, NotFound
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service import beside, database, serving, slot, snapshot, trial
from gitdeploy.service.context import Context
from gitdeploy.service.database import Held
from gitdeploy.service.exchange import Exchange
from gitdeploy.service.serving import Proven
from gitdeploy.service.teller import Teller

TO, COMMIT, CODE, SCHEMA = (
    "GITDEPLOY_DOWN_TO",
    "GITDEPLOY_DOWN_COMMIT",
    "GITDEPLOY_DOWN_CODE",
    "GITDEPLOY_DOWN_SCHEMA",
)
"""What the command is told: the older release and its commit, a folder with its files, and the JSON of its databases'
fingerprints by name.
"""
_OLDER = ".older"
_NAMED = 5  # sentences


@dataclass(frozen=True)
class Down:
    """The way from what is `live` to `goal`: the live code's `command`. `code` is the artifact of the older code."""

    live: Release
    goal: Release
    command: str
    code: str


def declared(ctx: Context, live: Release, goal: Release) -> Down | None:
    """None when the live code does not say how."""
    command = serving.settings(ctx, live).get("processes", {}).get(DOWN, {}).get("command", "")
    return Down(live, goal, command, goal.artifact) if command else None


def run(
    ctx: Context, env: Environment, down: Down, data: int, copies: Sequence[Held], teller: Teller,
    more: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """Take copies that lie in the data folder `data`, and beside it, back. Raises Failed when the command fails, or
    when what comes of it is not the shape of the older release.
    """
    build = ctx.ledger.builds.get(down.live.build)
    if build is None:
        raise NotFound(f"{down.live.name} names the build {down.live.build}, which the ledger does not have.")
    with ctx.store.hold(Digest.parse(down.live.artifact), Digest.parse(down.code)):
        proven = _with_older(ctx, serving.prove(ctx, build, down.live, frozenset()), down.code)
        like = replace(down.live, slot=slot.trial(data), data=data)
        code = Place(ctx.home, env.site, env.folder).slot_folder(like.slot).resolve() / "app" / _OLDER
        said = json.loads(down.goal.schemas)
        told = {
            TO: down.goal.name, COMMIT: down.goal.commit, CODE: str(code),
            SCHEMA: json.dumps({name: one.get("after", "") for name, one in said.items()}), **(more or {}),
        }  # fmt: skip
        with trial.opened(ctx, env, like, proven, copies, told) as (app, _):
            slot.run_command(app, DOWN, down.command, teller)
    _refuse_unlike(ctx, down, copies)
    teller.detail(f"the databases have the shape of {down.goal.name}")


def bring(ctx: Context, env: Environment, down: Down, brings: Exchange, actor: str, teller: Teller) -> None:
    """In the pause of a switch: make what it brings of what is there now. Raises Failed, also when somebody who is no
    visitor wrote meanwhile.
    """
    _, now = snapshot.kept(ctx, env)
    taken = snapshot.capture_now(
        ctx, env, actor, teller, cause=f"the way down to {down.goal.name}", paused=True
    )
    beside.fill(ctx, env, brings.data, taken, prepared := brings.prepare(), now)
    folder = Place(ctx.home, env.site, env.folder).data_folder(brings.data).resolve()
    inside = [one.in_folder(folder) for one in now if not one.server]
    order = [one.name for one in now]
    copies = sorted([*prepared, *inside], key=lambda one: order.index(one.name))
    run(ctx, env, down, brings.data, copies, teller)
    for name, facts in _facts(now).items():
        if difference := taken.facts[name].differs_from(facts):
            raise Failed(
                f"{name} was written to during the down-migration, though visitors waited: {difference}.",
                "End what writes to it beside the app, and try again. Nothing was changed.",
            )


# Private


def _with_older(ctx: Context, proven: Proven, code: str) -> Proven:
    """The same files, and beside them those of the older release."""
    older = ctx.store.load(Digest.parse(code)).folder
    both = Folder({**proven.manifest.folder.entries, os.fsencode(_OLDER): older})
    return replace(proven, manifest=Manifest(both))


def _refuse_unlike(ctx: Context, down: Down, copies: Sequence[Held]) -> None:
    for name, change in database.since(ctx, down.goal, copies).items():
        if change.verdict != "same":
            found = [*change.destructive, *change.unknown, *change.additive]
            more = f", and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            raise Failed(
                f"The down command left {name} in another shape than {down.goal.name} knows: "
                f"since then {', '.join(found[:_NAMED])}{more}.",
                f"Nothing was changed. Mend `{DOWN}` so that it leads to {down.goal.name}, and rehearse it again.",
            )


def _facts(held: Sequence[Held]) -> dict[str, Facts]:
    found = {}
    for one in held:
        with one.engine.instant(one.url) as instant:
            found[one.name] = instant.facts()
    return found
