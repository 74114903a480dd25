"""The front of running apps: a slot is named by site, environment and slot, never by pid or port.

What is started belongs to nobody and outlives whoever called; `start` again takes over what still runs. So a
daemon that comes back, or a machine that does, starts every slot that should run, and that is all.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from gitdeploy import marks, process
from gitdeploy.domain.app import AppSpec
from gitdeploy.errors import Busy, Failed
from gitdeploy.process import Command
from gitdeploy.runtime.apps import confine, launch, unit
from gitdeploy.runtime.apps.asking import (
    Hold,
    Status,
    Waited,
    alive,
    ask,
    console,
    count,
    hold,
    holds,
    resume,
    run,
    said,
    status,
    tail,
)
from gitdeploy.runtime.apps.family import Family, end_strangers
from gitdeploy.runtime.apps.launch import app_user
from gitdeploy.runtime.apps.order import Order
from gitdeploy.runtime.apps.place import App, Files
from gitdeploy.runtime.apps.record import CopyRecord, Record
from gitdeploy.runtime.apps.waiting import look, wait_healthy
from gitdeploy.runtime.edge.running import Running
from gitdeploy.runtime.slots import Environment
from gitdeploy.store import durable
from gitdeploy.store.home import Home

__all__ = [
    "App", "CopyRecord", "Hold", "Status", "Waited", "app_user", "console", "count", "drain", "hold", "holds",
    "is_moved", "is_running", "look", "resume", "run", "running", "said", "scale", "start", "status", "tail",
    "wait_healthy", "why_unconfined",
]  # fmt: skip

KEEPER = "gitdeploy.runtime.apps.keeper"
_DEADLINE = 20.0
_GRACE = 5.0
"""Seconds for a program to end by itself when its keeper is no longer there to see to it."""


def start(app: App, spec: AppSpec, layout: Path) -> None:
    """Run `spec` in the folder `layout` (see store/layout.py) as the slot; a slot that runs is left alone.

    Raises Busy when the slot is draining, Failed when it cannot be started or runs another folder.
    """
    resolved = layout.resolve()
    launch.check_reachable(resolved, app_user())
    with _alone(app):
        record = alive(app)
        if record is not None:
            _check_same(app, record, resolved)
            return
        Environment(app.home, app.site, app.env).prepare_app(app.slot, resolved, has_web=spec.has_web)
        durable.make_folder(app.logs)
        told = {"GITDEPLOY_SITE": app.site, "GITDEPLOY_ENV": app.env, "GITDEPLOY_RELEASE": app.slot}
        spec = replace(spec, environment={**told, **spec.environment})
        home, logs = app.home.root.resolve(), app.logs.resolve()
        order = Order(app.slot, str(home), str(resolved), str(logs), spec, unit.manager().runs)
        _start_keeper(app, order)


def why_unconfined() -> str:
    """Why programs see more of the machine than their own; "" where they do not."""
    return confine.why_not(app_user())


def running(home: Home, site: str = "*", env: str = "*") -> Iterator[App]:
    """Every slot of which something may be running: draining ones too, and those that lost their keeper."""
    for file in sorted(home.sites.glob(f"{site}/{env}/slots/*/state.json")):
        slot, _, env, site = (one.name for one in list(file.parents)[:4])
        record = Record.read(file)
        if not slot.startswith(".") and (record is None or record.state != "retired"):
            yield App(home, site, env, slot)


def is_running(app: App) -> bool:
    """Whether a keeper looks after it, and was not told to end."""
    record = alive(app)
    return record is not None and record.state == "running"


def is_moved(app: App) -> bool:
    """Whether it was started under another path, which its keeper would start programs in again."""
    record = alive(app)
    return record is not None and record.layout != str((app.folder / "root").resolve())


def scale(app: App, counts: Mapping[str, int]) -> None:
    """Have so many copies of these programs; those there are too many of finish what they are at.

    It holds as long as the slot runs. Raises Invalid for a program that is not there.
    """
    ask(app, {"do": "scale", "counts": dict(counts)}, within=3600)


def drain(app: App, *, wait: bool = True, patience: float = 0.0) -> None:
    """Accept nothing more, finish what is under way, then end: the keeper does it by itself. What was asked to be
    run once may take `patience` seconds more.

    With `wait` it is over when this returns. A slot that does not run is fine.
    """
    record = alive(app)
    if record is None:
        _end_lost(app)
        return
    with contextlib.suppress(Busy):  # it ended just now
        ask(app, {"do": "drain", "patience": patience}, within=30)
    while wait and record.keeper.alive:
        time.sleep(0.01)
    if wait:
        _end_lost(app)


# Private


@contextlib.contextmanager
def _alone(app: App) -> Iterator[None]:
    """Waits while a slot of the same environment is being started."""
    durable.make_folder(app.folder.parent.parent)
    file = app.folder.parent.parent / "start.lock"
    until = time.monotonic() + _DEADLINE
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(
                    durable.exclusive(file, busy=f"An app of {app.site} {app.env} is being started.")
                )
                break
            except Busy:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)
        yield


def _check_same(app: App, record: Record, layout: Path) -> None:
    if record.state != "running":
        raise Busy(
            f"{app.slot} of {app.site} {app.env} is being retired.", "Wait until it has ended.", again=5
        )
    if record.layout != str(layout):
        raise Failed(f"{app.slot} of {app.site} {app.env} runs another release already.")


def _start_keeper(app: App, order: Order) -> None:
    folder = app.folder.resolve()
    command = Command((sys.executable, "-P", "-m", KEEPER, str(folder)), cwd=folder)
    if order.is_unit:
        command = unit.as_unit(command, app, order)
    starter = process.start(command, stdin=-1, stdout=-1, stderr=-2, own_session=True)
    assert starter.stdin and starter.stdout
    running = Running.child("keeper", "", starter)
    with contextlib.suppress(BrokenPipeError), starter.stdin:
        starter.stdin.write(json.dumps(order.as_json()).encode())
    with starter.stdout:
        said = starter.stdout.readline().decode(errors="replace").strip()
        if said == "ready":
            if order.is_unit:
                running.end(within=1)  # it would wait until the unit ends
            return
        rest = starter.stdout.read().decode(errors="replace").strip().splitlines()
    running.end(within=1)
    why = (rest or [said])[-1] or f"exit code {starter.poll()}"
    raise Failed(f"{app.slot} of {app.site} {app.env} could not be started: {why}")


def _end_lost(app: App) -> None:
    """End what the keeper of a slot left behind when it was killed; with it went all requests under way."""
    files = Files(app.folder)
    record = Record.read(files.record)
    if not files.lock.exists() or (record is not None and record.keeper.alive):
        return
    families = [Family(f"{files.key}/{one.name}", one.group) for one in (record.copies if record else ())]
    for one in families:
        one.terminate()
    until = time.monotonic() + _GRACE
    while any(one.pids() for one in families) and time.monotonic() < until:
        time.sleep(0.01)
    for one in families:
        marks.end(one.pids)
        one.remove()
    end_strangers(files.key, ())
    if record is not None:
        with contextlib.suppress(OSError):
            replace(record, state="retired", copies=()).write(files.record)
    files.clean()
