from __future__ import annotations

import os
import sys
from typing import Any

import click

from gitdeploy.cli import screen
from gitdeploy.cli.asking import Function, Settings, as_json, settings, site
from gitdeploy.domain.units import roughly
from gitdeploy.errors import Busy


@click.group("incident")
def group() -> None:
    """What went wrong in production: each rollback opens a note, which people complete and close."""


def which(command: Function) -> Function:
    return click.argument("number", required=False, type=click.IntRange(1), metavar="[N]")(command)


@group.command()
@site
@which
@as_json
@settings
def show(asked: Settings, site: str, number: int | None, as_json: bool) -> None:
    """Show incident N of SITE, or its newest open one."""
    found = asked.client.get(f"/sites/{site}/incident", number=number)
    if as_json:
        screen.facts(found)
        return
    closed = found["closed_at"] and f"closed {screen.when(found['closed_at'])} by {found['closed_by']}"
    click.echo(
        f"incident {found['number']} of {site}: {closed or 'open since ' + screen.when(found['created_at'])}\n"
    )
    for box in found["gate"]:
        by = f", {box['by']} {screen.when(box['at'])}" if box["ticked"] else ""
        click.echo(f"  [{'x' if box['ticked'] else ' '}] {box['name']:11} {box['says']} ({box['who']}{by})")
    if found["fix"]:
        where = f"live in {found['fixed_by']}" if found["fixed_by"] else "queued, not live yet"
        click.echo(f"\nfix: {found['fix'][:7]}, {where}")
    click.echo(f"\n{found['text'].strip()}\n\n{found['facts'].strip()}")
    if found["also_open"]:
        click.echo(f"\nAlso open: {', '.join(map(str, found['also_open']))}", err=True)


@group.command()
@site
@which
@click.option(
    "--tick", "ticks", multiple=True, metavar="BOX", help="Tick a box of the gate; may be repeated."
)
@as_json
@settings
def edit(asked: Settings, site: str, number: int | None, ticks: tuple[str, ...], as_json: bool) -> None:
    """Change the note of incident N of SITE, in $EDITOR or from standard input; or only tick boxes."""
    path = f"/sites/{site}/incident"
    body: dict[str, Any] = {"tick": list(ticks)}
    if not ticks:
        found = asked.client.get(path, number=number)
        number = found["number"]
        body |= _written(found["text"])
    try:
        made = asked.client.ask("PATCH", path, body, query={"number": number})
    except Busy:
        click.echo(body.get("text", ""))  # what was written is not lost
        raise
    if as_json:
        screen.facts(made)
        return
    still = [box["name"] for box in made["gate"] if not box["ticked"]]
    said = (
        f"still to tick: {', '.join(still)}"
        if still
        else f"now: gitdeploy incident close {site} {made['number']}"
    )
    click.echo(f"incident {made['number']} of {site} is written; {said}", err=True)


@group.command()
@site
@which
@as_json
@settings
def close(asked: Settings, site: str, number: int | None, as_json: bool) -> None:
    """Close incident N of SITE; refused while a box of its gate is open."""
    made = asked.client.ask("POST", f"/sites/{site}/incident/close", query={"number": number})
    if as_json:
        screen.facts(made)
    else:
        click.echo(f"incident {made['number']} of {site} is closed", err=True)


def advise(asked: Settings, site: str, as_json: bool) -> None:
    """What `gitdeploy doctor SITE --incident` says."""
    found = asked.client.get(f"/sites/{site}/incident/advice")
    if as_json:
        screen.facts(found)
        return
    live, before, good = found["live"], found["before"], found["last_good"]
    rows = [("live", f"{_named(live)}, {live['kind']} by {live['actor']} {roughly(found['seconds'])} ago")]
    if before:
        rows.append(("before", f"{_named(before)}, live since {screen.when(before['live_at'])}"))
    tag = f", tagged {found['tag']}" if found["tag"] else ""
    rows.append(("last good", _named(good) + tag if good else "none"))
    for scope, one in found["config"].items():
        names = ", ".join(f"{name} {how}" for how in ("added", "changed", "removed") for name in one[how])
        rows.append(
            ("config", f"{one['version']} of {scope} by {one['actor']} {screen.when(one['at'])}: {names}")
        )
    if not found["config"]:
        rows.append(("config", f"unchanged since {before['release']} went live" if before else "unchanged"))
    if found["release_command"]:
        rows.append(("data", f"{live['release']} ran: {found['release_command']}"))
        rows.append(("", "No rollback takes back what that did. Look at it before you go back."))
    if found["incident"]:
        rows.append(("incident", f"{found['incident']} is open: gitdeploy incident show {site}"))
    for name, said in rows:
        click.echo(f"{name:10} {screen.clean(said)}")
    click.echo(f"\n{found['answer']}\n\n    {found['command']}")


def _named(release: dict[str, Any]) -> str:
    return f'{release["release"]} ({release["commit"][:7]} "{release["subject"]}")'


def _written(text: str) -> dict[str, str]:
    """The new text: from an editor where a person sits, with what it `was`; else from standard input. Who comes by SSH
    is given no editor: it would run here.
    """
    if sys.stdin.isatty() and not os.environ.get("GITDEPLOY_SESSION"):
        return {"text": click.edit(text, extension=".md") or text, "was": text}
    return {"text": sys.stdin.read()}


COMMANDS = (group,)
