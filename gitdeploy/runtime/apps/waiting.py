"""Waiting until a slot is well, or can be told not to become so."""

from __future__ import annotations

import time

from gitdeploy.domain.app import WEB, Check
from gitdeploy.errors import Failed
from gitdeploy.runtime import health
from gitdeploy.runtime.apps.asking import Status, run, status
from gitdeploy.runtime.apps.asking import said as told_last
from gitdeploy.runtime.apps.place import App, Files
from gitdeploy.runtime.apps.record import CopyRecord

_TRY, _LEAST = 10.0, 0.2
"""Seconds that one try may take, and without which none is begun."""
_TELLS = 10
"""How many of its last lines an app that is not well is quoted with."""
_UNTRIED, _NOT_UP = "it was not tried", "not up yet"


def wait_healthy(app: App, check: Check) -> str:
    """`healthy in 0.4 s (GET / 200)`. Raises Failed with what was got instead, and the app's own last lines."""
    until = time.monotonic() + check.timeout
    said = _UNTRIED
    while True:
        found = status(app)
        _fail_if_over(app, found)
        left = until - time.monotonic()
        if left <= (0 if said == _UNTRIED else _LEAST):
            raise _unwell(app, f"did not become healthy within {check.timeout:g} s: {said}.", found)
        tried = _try(app, check, found, min(left, _TRY))
        if tried.ok:
            started = min((one.since for one in found.copies), default=time.time())
            return f"healthy in {time.time() - started:.1f} s ({tried.said})"
        said = tried.said
        pause = 0.02 if said.startswith(_NOT_UP) else check.interval
        time.sleep(max(min(pause, until - time.monotonic()), 0))


def look(app: App, check: Check) -> health.Tried:
    """Whether a slot that was well is so still: one try."""
    found = status(app)
    crashed = next((one for one in found.copies if one.state == "crashed"), None)
    if crashed is not None:
        return health.Tried(False, f"{crashed.name} keeps crashing: {crashed.last}")
    return _try(app, check, found, _TRY)


def _try(app: App, check: Check, found: Status, within: float) -> health.Tried:
    """Every copy has to be up, for as long as is asked, before the one that answers is asked."""
    down = [one for one in found.copies if one.state != "running"]
    if down:
        return health.Tried(False, f"{_NOT_UP}: {down[0].name} {_doing(down[0])}")
    young = [one for one in found.copies if time.time() - one.since < check.uptime]
    if young:
        return health.Tried(False, f"{_NOT_UP} for {check.uptime:g} s: {young[0].name}")
    if not check.command and not any(one.program == WEB for one in found.copies):
        return health.Tried(True, ", ".join(f"{one.name} runs" for one in found.copies))

    def command(line: str, seconds: float) -> int | None:
        return run(app, line, name="health", within=seconds)

    return health.attempt(check, Files(app.folder).web, command, within=within)


def _doing(copy: CopyRecord) -> str:
    return "accepts no connection on its PORT" if copy.state == "starting" else copy.last or copy.state


def _fail_if_over(app: App, found: Status) -> None:
    if found.state != "running":
        why = "has lost its keeper" if found.state == "lost" else f"is {found.state}"
        raise _unwell(app, f"{why}, and cannot become healthy.", found)
    for one in found.copies:
        if one.state == "crashed":
            raise _unwell(
                app, f"keeps crashing: {one.name} {one.last}, {one.restarts} times.", found, one.name
            )


def _unwell(app: App, sentence: str, found: Status, name: str = "") -> Failed:
    told = name or next((one.name for one in found.copies if one.state != "running"), "web.1")
    lines = told_last(app, told, 200)[-_TELLS:]
    hint = "\n".join([f"The last lines of {told}:", *lines]) if lines else f"{told} said nothing."
    return Failed(f"{app.slot} {sentence}", hint)
