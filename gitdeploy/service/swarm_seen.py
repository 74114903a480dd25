"""What runs of an environment on the swarm, as `ps` and `logs` tell it: in the shape that they have on one machine."""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gitdeploy.domain.environment import Environment
from gitdeploy.errors import GitdeployError
from gitdeploy.runtime.apps import reading
from gitdeploy.runtime.apps.record import CopyRecord
from gitdeploy.runtime.swarm.engine import Task
from gitdeploy.service import config, serving, surroundings, swarm
from gitdeploy.service.context import Context
from gitdeploy.service.journal import live_release

if TYPE_CHECKING:
    from gitdeploy.runtime.swarm.said import Line

log = logging.getLogger("gitdeploy.swarm")

_STATES = {
    "running": "running",
    "failed": "crashed",
    "rejected": "crashed",
    "shutdown": "ended",
    "complete": "ended",
}
_EVERY = 1.0
"""Seconds between two looks at what comes."""
_LATE = 5.0
"""Seconds by which a line of one node may come after a later one of another."""


def copies(ctx: Context, env: Environment) -> tuple[CopyRecord, ...]:
    """What runs for an environment, a record for each container that should; [] when the engine does not say."""
    from gitdeploy.runtime.swarm import containers

    engine = swarm.engine_of(ctx, patience=2.0)
    found = []
    try:
        for one in swarm.services(ctx, env, engine):
            tasks = engine.tasks(one["ID"])
            program = swarm.label(one, "program")
            for task in containers.due(tasks, swarm.label(one, "release")):
                earlier = containers.before(task, tasks)
                last = containers.trouble(earlier[0]) if earlier else ""
                name = f"{program}.{containers.number_of(task, tasks)}"
                found.append(_record(name, task, restarts=len(earlier), last=last))
    except GitdeployError as error:
        log.warning("%s %s: %s", env.site, env.name, error.message)
    return tuple(sorted(found, key=lambda one: (one.program, int(one.name.rpartition(".")[2]))))


def tail(ctx: Context, env: Environment, folder: Path, process: str, count: int) -> list[str]:
    """The last lines of what `process` names (`web.1`, `web`, or "" for all); `folder` is that of the server's own logs
    of this environment.
    """
    here = reading.together(reading.listed(folder, process or "*"), count)
    there = [said for _, said in _said(ctx, env, process, count=count)]
    return list(heapq.merge(here, there, key=_moment))[-count:]


def follow(ctx: Context, env: Environment, folder: Path, process: str) -> Iterator[list[str]]:
    """What comes from now on, without end; now and then an empty list."""
    since, seen, due = time.time(), dict[str, str](), 0.0
    for lines in reading.follow(folder, process or "*"):
        yield lines
        if time.monotonic() < due:
            continue
        due = time.monotonic() + _EVERY
        fresh = []
        for line, text in _said(ctx, env, process, since=since):
            if line.moment > seen.get(line.task, ""):
                seen[line.task] = line.moment
                fresh.append(text)
        if fresh:
            yield fresh
            since = max(since, datetime.fromisoformat(max(map(_moment, fresh))).timestamp() - _LATE)


# Private


def _said(
    ctx: Context, env: Environment, process: str, *, count: int = 0, since: float = 0.0
) -> list[tuple[Line, str]]:
    """Lines as the engine has them, and as people read them: `2026-11-21T03:22:01.123Z r42 web.1 | …`."""
    from gitdeploy.runtime.swarm import containers, said

    engine = swarm.engine_of(ctx, patience=2.0)
    wanted, _, copy = process.partition(".")
    found = []
    for one in swarm.services(ctx, env, engine):
        program = swarm.label(one, "program")
        if wanted not in ("", program):
            continue
        tasks = engine.tasks(one["ID"])
        names = {
            str(task["ID"]): (containers.release_of(task), str(containers.number_of(task, tasks)))
            for task in tasks
        }
        secrets = {slot: _secrets(ctx, env, slot) for slot in {slot for slot, _ in names.values()}}
        known = {task: secrets[slot] for task, (slot, number) in names.items() if copy in ("", number)}
        for line in said.masked(said.lines(engine, one["ID"], count=count, since=since), known):
            slot, number = names[line.task]
            found.append((line, f"{line.time} {slot} {program}.{number} | {line.text}"))
    return sorted(found, key=lambda one: one[0].moment)


def _secrets(ctx: Context, env: Environment, slot: str) -> list[str]:
    """What nobody may read of a release of this environment."""
    live, scope = live_release(ctx, env.site, env.name), surroundings.config_scope(env)
    hidden: list[str] = []
    if live is not None and live.image:
        hidden += swarm.programs(ctx, env, live, serving.settings(ctx, live))[0].secrets.values()
    own = ctx.ledger.releases.one(site=env.site, env=env.name, slot=slot)
    if own is not None:
        hidden += [one.value for one in config.at(ctx, env.site, scope, own.config).values() if one.secret]
    return hidden


def _record(name: str, task: Task, *, restarts: int, last: str) -> CopyRecord:
    state = "waiting" if task["DesiredState"] == "ready" else _STATES.get(task["Status"]["State"], "starting")
    since = datetime.fromisoformat(f"{task['Status']['Timestamp'][:19]}+00:00").timestamp()
    return CopyRecord(name, state, since=since, restarts=restarts, last=last)


def _moment(line: str) -> str:
    return line.partition(" ")[0]
