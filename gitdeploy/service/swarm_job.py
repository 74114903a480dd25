"""Commands that the swarm runs once, on some node, with the image and the variables of a release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gitdeploy.domain.app import RELEASE
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.swarm import Unit, service_name
from gitdeploy.runtime.apps.driver import App
from gitdeploy.runtime.apps.logs import Log
from gitdeploy.service import mishap, swarm
from gitdeploy.service.context import Context
from gitdeploy.service.teller import Teller

if TYPE_CHECKING:
    from gitdeploy.runtime.swarm.said import Line

LONGEST_RELEASE = 3600.0  # seconds
_MOST_LINES = 200
"""Of a release command that went well, told to who pushed."""


def release(ctx: Context, env: Environment, like: Unit, settings: Mapping[str, Any], teller: Teller) -> None:
    """Run the release command, if there is one, once and with the new image. Raises Failed with its last lines."""
    line = settings["processes"].get(RELEASE, {}).get("command", "")
    if not line:
        return
    teller.detail(f"release command: {line}")
    code, said = logged(ctx, env, like, RELEASE, line, LONGEST_RELEASE)
    if code != 0:
        raise mishap.of_command(RELEASE, code, said)
    for text in said[-_MOST_LINES:]:
        teller.detail(f"  {text}")


def logged(
    ctx: Context, env: Environment, like: Unit, name: str, line: str, within: float
) -> tuple[int | None, list[str]]:
    """`run`, and what it said written down in the log `name`, as a keeper does: its container goes with it."""
    code, said = _run(ctx, like, name, line, within)
    book = Log(App(ctx.home, env.site, env.folder, like.release).logs / f"{name}.log")
    book.append("".join(f"{one.time} {like.release} | {one.text}\n" for one in said).encode())
    book.close()
    return code, [one.text for one in said]


def run(ctx: Context, like: Unit, name: str, line: str, within: float) -> tuple[int | None, list[str]]:
    """Run a shell line once, with the image and variables of `like`, as the job `name`; its exit code, None when it
    took too long, and what it said. Raises Busy while one of that name runs.
    """
    code, said = _run(ctx, like, name, line, within)
    return code, [one.text for one in said]


def _run(ctx: Context, like: Unit, name: str, line: str, within: float) -> tuple[int | None, list[Line]]:
    from gitdeploy.runtime.swarm import job

    known = service_name(like.name, name.replace(".", "-"))  # the engine's names are those of DNS
    once = replace(like, name=known, program=name, line=line)
    return job.run(swarm.engine_of(ctx), once, ctx.server.swarm.network, within=within)
