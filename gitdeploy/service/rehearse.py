"""One rehearsal from beginning to end: copies made and filled, code started on them, all of it measured and removed."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gitdeploy.domain.build import Build
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.rehearsal import Inputs, Rehearsal
from gitdeploy.domain.release import Release
from gitdeploy.domain.schema import difference
from gitdeploy.domain.snapshot import Facts, Snapshot
from gitdeploy.errors import GitdeployError
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service import beside, rehearsal, serving, slot, surroundings, trial
from gitdeploy.service.context import Context
from gitdeploy.service.database import Held
from gitdeploy.service.teller import Teller


@dataclass(frozen=True)
class Act:
    """Steps of its own: `run` is given the number of the data folder, the databases, and where to write the seconds of
    each step. `waits` are those of all steps that visitors wait for.
    """

    run: Callable[[int, Sequence[Held], dict[str, float]], None]
    waits: tuple[str, ...]


@dataclass(frozen=True)
class Play:
    """What is rehearsed. `taken` fills the copies; `build` is started on them, with its release command if it
    `migrates`. With `swaps` databases will change places, so the pause is measured too. `act` does something else to
    the copies before. `before` are the facts of today's databases, against which is said what changes; `took` says
    how long what went before took; `more` is what is found besides.
    """

    env: Environment
    verb: str
    subject: str
    inputs: Inputs
    actor: str
    build: Build
    config: int
    taken: Snapshot | None
    migrates: bool = False
    swaps: bool = False
    act: Act | None = None
    before: Mapping[str, Facts] = field(default_factory=dict)
    took: Mapping[str, float] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)


def rehearse(ctx: Context, play: Play, live: Release, teller: Teller) -> Rehearsal:
    """Run it on copies and write down how that went. Call it holding the lane's `data`. Raises what it failed with."""
    env, started = play.env, time.monotonic()
    seconds = dict(play.took)
    try:
        found, pause = _play(ctx, play, live, seconds, teller)
    except GitdeployError as error:
        rehearsal.remember(
            ctx, env, play.verb, play.subject, play.inputs, actor=play.actor, error=error.message, pause=0,
            seconds=time.monotonic() - started, findings={**play.more, "seconds": seconds},
        )  # fmt: skip
        raise
    made = rehearsal.remember(
        ctx, env, play.verb, play.subject, play.inputs, actor=play.actor, pause=pause,
        seconds=time.monotonic() - started, findings={**play.more, **found, "seconds": seconds},
    )  # fmt: skip
    rehearsal.tell(made, teller)
    return made


def facts(held: list[Held]) -> dict[str, Facts]:
    """What databases hold at this moment."""
    found = {}
    for one in held:
        with one.engine.instant(one.url) as instant:
            found[one.name] = instant.facts()
    return found


@contextlib.contextmanager
def timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    """Write down how long a step takes."""
    started = time.monotonic()
    yield
    seconds[step] = round(time.monotonic() - started, 2)


# Private


def _play(
    ctx: Context, play: Play, live: Release, seconds: dict[str, float], teller: Teller
) -> tuple[dict[str, Any], float]:
    env = play.env
    proven = serving.prove(ctx, play.build, live, frozenset())
    if not proven.is_app:
        said = serving.check_health(proven)
        teller.detail(said)
        return {"health": said}, 0.0
    like = dataclasses.replace(live, config=play.config)
    settings = serving.settings(ctx, live) if play.act else proven.settings
    held = surroundings.databases(ctx, env, like, settings)
    with beside.prepared(ctx, env, live.data, held) as room:
        copies = room.copies()
        if play.taken is not None:
            with timed(seconds, "filled"):
                beside.fill(ctx, env, room.data, play.taken, copies, held)
            teller.detail(f"copies filled with {play.taken.name} and compared ({seconds['filled']:.1f} s)")
        like = dataclasses.replace(like, slot=slot.trial(room.data), data=room.data)
        folder = Place(ctx.home, env.site, env.folder).data_folder(room.data).resolve()
        inside = [one.in_folder(folder) for one in held if not one.server]
        order = [one.name for one in held]
        given = sorted([*copies, *inside], key=lambda one: order.index(one.name))
        if play.act is not None:
            play.act.run(room.data, given, seconds)
        tried = trial.try_out(ctx, env, like, proven, given, migrates=play.migrates, teller=teller)
        if play.migrates:
            seconds["release command"] = round(tried.release_command, 2)
        seconds["start"] = round(tried.start, 2)
        after = facts(given)
        pause = 0.0
        if play.swaps and copies and (swap := room.swap_copies()) is not None:
            seconds["exchange"] = round(swap, 3)
            pause = swap + (tried.again if play.build.artifact == live.artifact else tried.start)
        if play.act is not None:
            pause = sum(seconds.get(step, 0.0) for step in play.act.waits)
        return {"health": tried.health, "databases": _compared(play.before, after)}, pause


def _compared(before: Mapping[str, Facts], after: Mapping[str, Facts]) -> dict[str, Any]:
    """By database: rows of each table before and after, None where there is no such table; what its shape became."""
    found = {}
    for name, now in after.items():
        was = before.get(name, Facts())
        change = difference(was.schema, now.schema)
        found[name] = {
            "tables": {table: [_rows(was, table), _rows(now, table)]
                       for table in sorted({*was.tables, *now.tables})},
            "schema": {"verdict": change.verdict,
                       "changes": [*change.destructive, *change.unknown, *change.additive]},
        }  # fmt: skip
    return found


def _rows(held: Facts, table: str) -> int | None:
    return held.tables[table].rows if table in held.tables else None
