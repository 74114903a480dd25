from __future__ import annotations

import shlex
import sys
from typing import Any

import click

from gitdeploy.cli import screen
from gitdeploy.cli.asking import Settings, as_json, env, settings, site
from gitdeploy.cli.console import console
from gitdeploy.errors import Invalid


@click.command()
@site
@env
@as_json
@settings
def ps(asked: Settings, site: str, env: str, as_json: bool) -> None:
    """What runs for SITE: each copy of each program."""
    _show(asked.client.get(f"/sites/{site}/processes", env=env), site, as_json)


@click.command()
@site
@click.argument("counts", nargs=-1, required=True, metavar="PROGRAM=COUNT…")
@env
@as_json
@settings
def scale(asked: Settings, site: str, counts: tuple[str, ...], env: str, as_json: bool) -> None:
    """Run so many copies of a program of SITE, such as web=2, now and in the releases that follow."""
    wanted = {}
    for one in counts:
        name, _, count = one.partition("=")
        if not count.isdigit():
            raise Invalid(f"{one[:40]!r} is not PROGRAM=COUNT.", "Such as: web=2")
        wanted[name] = int(count)
    _show(asked.client.ask("POST", f"/sites/{site}/scale", {"counts": wanted, "env": env}), site, as_json)


@click.command(context_settings={"ignore_unknown_options": True})
@site
@click.argument("command", nargs=-1, required=True, metavar="-- COMMAND…", type=click.UNPROCESSED)
@env
@click.option("--timeout", default=3600.0, show_default=True, metavar="SECONDS", help="It is killed then.")
@settings
def run(asked: Settings, site: str, command: tuple[str, ...], env: str, timeout: float) -> None:
    """Run COMMAND once beside what is live on SITE, with its files and configuration; ends as COMMAND does."""
    line = command[0] if len(command) == 1 else shlex.join(command)
    body = {"command": line, "env": env, "timeout": timeout}
    code = asked.client.follow(f"/sites/{site}/run", body, lambda text: click.echo(text, nl=False))["code"]
    if code is None:
        click.echo(f"It was killed after {timeout:g} s.", err=True)
    sys.exit(1 if code is None else code)


@click.command()
@site
@env
@click.option("--process", default="", metavar="NAME", help="Only this one: web, or web.1.")
@click.option("--build", is_flag=True, help="The log of the newest build instead.")
@click.option("--access", is_flag=True, help="The last visits instead: one line of JSON a request.")
@click.option("-n", "--lines", default=100, show_default=True, help="At most so many old lines.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is said from now on.")
@settings
def logs(
    asked: Settings, site: str, env: str, process: str, build: bool, access: bool, lines: int, follow: bool
) -> None:
    """What the programs of SITE say; for a site of files, what its newest build said."""
    if access:
        screen.stream(asked.client.chunks(f"/sites/{site}/access-log", limit=lines))
        return
    live = None if build else asked.client.get(f"/sites/{site}/live", env=env)
    if process or (live and live["serves"] == "app"):
        query: dict[str, object] = {"env": env, "process": process, "lines": lines, "follow": follow}
        screen.stream(asked.client.chunks(f"/sites/{site}/logs", **query))
        return
    newest = asked.client.get(f"/sites/{site}/builds", limit=1)
    if not newest:
        click.echo(f"{site} has no builds yet.", err=True)
        return
    screen.stream(asked.client.chunks(f"/builds/{newest[0]['id']}/log", follow=follow))


def _show(found: list[dict[str, Any]], site: str, as_json: bool) -> None:
    if as_json:
        screen.facts(found)
        return
    rows = [
        (
            one["name"],
            one["state"],
            one["pid"],
            one["port"],
            screen.when(one["since"]),
            one["restarts"],
            one["last"],
        )
        for one in found
    ]
    head = ("PROCESS", "STATE", "PID", "PORT", "SINCE", "RESTARTS", "ENDED LAST")
    screen.table(rows, head=head, empty=f"Nothing runs for {site}.")


COMMANDS = (ps, scale, run, console, logs)
