from __future__ import annotations

import click

from gitdeploy.cli import screen
from gitdeploy.cli.asking import Settings, as_json, settings


@click.group("builder")
def group() -> None:
    """Other machines that build, so that no build competes with what is served here."""


@group.command()
@click.argument("name")
@click.argument("address", metavar="ssh://USER@HOST[:PORT]")
@click.option("--places", default=2, show_default=True, metavar="N", help="How many builds it makes at once.")
@as_json
@settings
def add(asked: Settings, name: str, address: str, places: int, as_json: bool) -> None:
    """Have another machine build from now on: it needs gitdeploy, bubblewrap, and a line that lets this server in.

    That line is printed while it is missing. It lets the server build there, and do nothing else.
    """
    made = asked.client.ask("POST", "/builders", {"name": name, "address": address, "places": places})
    if as_json:
        screen.facts(made)
    else:
        click.echo(f"{made['name']} builds from now on, {made['places']} at once.", err=True)


@group.command("list")
@as_json
@settings
def listing(asked: Settings, as_json: bool) -> None:
    """List the builders, what they do, and which was not reached."""
    found = asked.client.ask("GET", "/builders")
    if as_json:
        screen.facts(found)
        return
    rows = [
        (one["name"], f"{one['running']} of {one['places']}", one["away"] or "well", one["address"])
        for one in found
    ]
    screen.table(
        rows, head=("BUILDER", "BUILDING", "STATE", "ADDRESS"), empty="No builders: builds are made here."
    )


@group.command()
@click.argument("name")
@settings
def remove(asked: Settings, name: str) -> None:
    """Give NAME no more work; without any builder, builds are made on the server itself."""
    click.echo(f"{asked.client.ask('DELETE', f'/builders/{name}')['removed']} is removed.", err=True)


@click.command("build-for", hidden=True)
@settings
def build_for(asked: Settings) -> None:
    """Make one build for a server that logged in over SSH; spoken to by it alone."""
    from gitdeploy.web import build_for as door

    door.run(asked.home)


COMMANDS = (group, build_for)
