"""What runs in an environment: seen, scaled, followed, and joined by a command of one's own."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gitdeploy.domain.app import CONSOLE
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.release import Release
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.errors import Invalid, NotFound
from gitdeploy.runtime.apps import driver, reading
from gitdeploy.runtime.apps.driver import App
from gitdeploy.runtime.apps.driver import CopyRecord as CopyRecord
from gitdeploy.service import history, serving, slot, swarm, swarm_job, swarm_seen
from gitdeploy.service.context import Context
from gitdeploy.service.journal import live_release
from gitdeploy.service.teller import Teller
from gitdeploy.store import ids

MOST_COPIES = 100
LONGEST_RUN = 24 * 3600  # seconds


@dataclass(frozen=True)
class Seat:
    """Where a person sits: an open terminal, what kind it is ($TERM), and a connection that ends when they leave."""

    terminal: int
    user: int
    term: str


def listing(ctx: Context, site: Site, env: str) -> tuple[CopyRecord, ...]:
    """Every copy of every program of what is live; nothing for a site of files."""
    return slot.processes(ctx, history.environment_of(ctx, site, env))


def scale(
    ctx: Context, actor: Actor, site: Site, env: str, counts: Mapping[str, int]
) -> tuple[CopyRecord, ...]:
    """Have so many copies of these programs, now and in the releases that follow. Those there are too many of finish
    what they are at. Raises Invalid for a program that the app does not have.
    """
    where = history.environment_of(ctx, site, env)
    actor.need(Role.MAINTAINER, site.name, f"scale {where.name}", where.name)
    for name, count in counts.items():
        if not 0 <= count <= MOST_COPIES:
            raise Invalid(f"{name} cannot run {count} times.", f"Say 0 to {MOST_COPIES}.")
    with ctx.lanes.of(site.name, where.name).switch.hold(f"{actor.name}'s scaling", Teller(), lambda: False):
        live = live_release(ctx, site.name, where.name)
        if live is not None and live.image:
            swarm.scale(ctx, where, live, counts)
        else:
            driver.scale(_live(ctx, where), counts)
        where = ctx.ledger.environments.get(site.name, where.name) or where
        with ctx.ledger.atomic():
            ctx.ledger.environments.change(where, scale=json.dumps({**json.loads(where.scale), **counts}))
            ctx.event("processes.scaled", actor=actor.name, site=site.name, env=where.name, data=dict(counts))
    return slot.processes(ctx, where)


def run(
    ctx: Context, actor: Actor, site: Site, env: str, line: str, within: float, teller: Teller
) -> int | None:
    """Run a shell line once beside what is live, in its folder and with its configuration, and tell what it says as it
    comes; its exit code, None when it took longer than `within` seconds and was killed.
    """
    where = history.environment_of(ctx, site, env)
    actor.need(Role.MAINTAINER, site.name, f"run commands in {where.name}", where.name)
    if not line.strip() or "\0" in line or not 0 < within <= LONGEST_RUN:
        raise Invalid("There is no command to run.", "Such as: gitdeploy run SITE -- python manage.py check")
    name = ids.new("run").lower()
    live = live_release(ctx, site.name, where.name)
    if live is not None and live.image:
        return _run_on_swarm(ctx, actor, where, live, name, line, within, teller)
    app = _live(ctx, where)
    code: list[int | None] = []
    failed: list[Exception] = []

    def act() -> None:
        try:
            code.append(driver.run(app, line, name=name, within=within))
        except Exception as error:
            failed.append(error)

    told = {"command": line}
    ctx.event("processes.run", actor=actor.name, site=site.name, env=where.name, subject=app.slot, data=told)
    work = threading.Thread(target=act, name=name)
    work.start()
    log = app.logs / f"{name}.log"
    for said in _lines_of(log, work):
        teller.raw(said.encode() + b"\n")
    log.unlink(missing_ok=True)
    if failed:
        raise failed[0]
    return code[0]


def console(ctx: Context, actor: Actor, site: Site, env: str, line: str, seat: Seat) -> None:
    """Open a shell line, or the app's own console or a shell where it is empty, beside what is live; returns when it
    is under way. From then on it is between the user and the slot: nothing of it passes here.
    """
    where = history.environment_of(ctx, site, env)
    actor.need(Role.MAINTAINER, site.name, f"open a console in {where.name}", where.name)
    if "\0" in line or not re.fullmatch(r"[A-Za-z0-9._+-]{1,64}", seat.term):
        raise Invalid("This is no command, or no terminal.", f"Such as: gitdeploy console {site.name}")
    app = _live(ctx, where)
    line = line.strip() or _own_console(ctx, where) or "/bin/sh"
    variables = {"TERM": seat.term, "PS1": f"{site.name} {where.name} {app.slot} $ "}
    told = {"command": line}
    ctx.event(
        "processes.console", actor=actor.name, site=site.name, env=where.name, subject=app.slot, data=told
    )
    name = ids.new("console").lower()
    driver.console(app, line, name=name, variables=variables, terminal=seat.terminal, user=seat.user)


def tail(ctx: Context, actor: Actor, site: Site, env: str, process: str, count: int) -> list[str]:
    """The last lines that programs said, in the order of their times; `process` is `web.1`, `web`, or "" for all."""
    where, folder = _log_folder(ctx, actor, site, env, process)
    count = max(1, min(count, 10_000))
    if _is_on_swarm(ctx, where):
        return swarm_seen.tail(ctx, where, folder, process, count)
    return reading.together(reading.listed(folder, process or "*"), count)


def follow(ctx: Context, actor: Actor, site: Site, env: str, process: str) -> Iterator[list[str]]:
    """What programs say from now on, without end."""
    where, folder = _log_folder(ctx, actor, site, env, process)
    if _is_on_swarm(ctx, where):
        return swarm_seen.follow(ctx, where, folder, process)
    return reading.follow(folder, process or "*")


def _run_on_swarm(
    ctx: Context,
    actor: Actor,
    where: Environment,
    live: Release,
    name: str,
    line: str,
    within: float,
    teller: Teller,
) -> int | None:
    """What it said is told once it has ended."""
    told = {"command": line}
    ctx.event(
        "processes.run", actor=actor.name, site=where.site, env=where.name, subject=live.slot, data=told
    )
    like = swarm.programs(ctx, where, live, serving.settings(ctx, live))[0]
    code, said = swarm_job.run(ctx, like, name, line, within)
    for one in said:
        teller.raw(one.encode() + b"\n")
    return code


def _lines_of(log: Path, work: threading.Thread) -> Iterator[str]:
    """What a command says, without time and slot, until it has ended."""
    for lines in reading.follow(log.parent, log.name.removesuffix(".log"), from_end=False):
        yield from (line.split(" ", 4)[4] for line in lines if line.split(" ", 4)[3:4] == ["|"])
        if not lines and not work.is_alive():
            return


def _own_console(ctx: Context, env: Environment) -> str:
    """The command that the app of what is live names for it, "" where it names none."""
    live = live_release(ctx, env.site, env.name)
    named = serving.settings(ctx, live).get("processes", {}) if live is not None else {}
    return str(named.get(CONSOLE, {}).get("command", ""))


def _live(ctx: Context, env: Environment) -> App:
    live = live_release(ctx, env.site, env.name)
    if live is not None and live.image:
        raise Invalid(
            f"{env.name} of {env.site} runs on the swarm, where this cannot be done yet.",
            f"Run a command there instead: gitdeploy run {env.site} -- COMMAND",
        )
    if live is None or live.serves != "app":
        raise NotFound(f"No app is live on {env.name} of {env.site}.", f"See: gitdeploy live {env.site}")
    return App(ctx.home, env.site, env.folder, live.slot)


def _is_on_swarm(ctx: Context, env: Environment) -> bool:
    live = live_release(ctx, env.site, env.name)
    return live is not None and bool(live.image)


def _log_folder(ctx: Context, actor: Actor, site: Site, env: str, process: str) -> tuple[Environment, Path]:
    """The environment that is meant, and where what is said here lies of it."""
    actor.need(Role.DEVELOPER, site.name, "read its logs")
    if not re.fullmatch(r"[A-Za-z0-9_-]{0,40}(\.[0-9]{1,3})?", process):
        raise Invalid(f"{process[:40]!r} is no process.", "Such as: web, or web.1")
    where = history.environment_of(ctx, site, env)
    return where, App(ctx.home, site.name, where.folder, "any").logs
