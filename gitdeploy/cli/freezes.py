from __future__ import annotations

import click

from gitdeploy.cli import screen
from gitdeploy.cli.asking import Settings, as_json, env, settings, site, utc


@click.group("freeze")
def group() -> None:
    """Times in which nothing goes live, except a rollback."""


@group.command()
@site
@click.option("--from", "begins", default="", metavar="TIME", help="2026-12-20T00:00; default: now.")
@click.option("--until", required=True, metavar="TIME", help="When it ends.")
@click.option("--reason", required=True, help="Why; whoever is refused will read it.")
@env
@as_json
@settings
def add(asked: Settings, site: str, begins: str, until: str, reason: str, env: str, as_json: bool) -> None:
    """Let nothing go live on SITE for some time. What a push says with `-o at=` may be after it."""
    body = {"from": utc(begins), "until": utc(until), "reason": reason, "env": env}
    made = asked.client.ask("POST", f"/sites/{site}/freezes", body)
    if as_json:
        screen.facts(made)
        return
    click.echo(
        f"{made['id']}: {env} of {site} is frozen from {made['from']} until {made['until']}.", err=True
    )


@group.command()
@site
@click.argument("id")
@settings
def remove(asked: Settings, site: str, id: str) -> None:
    """End a freeze, or take it back; ID may be an ending of it."""
    gone = asked.client.ask("DELETE", f"/sites/{site}/freezes/{id}")
    click.echo(f"{gone['id']} of {gone['env']} is removed.", err=True)


@group.command("list")
@site
@as_json
@settings
def listing(asked: Settings, site: str, as_json: bool) -> None:
    """What freezes SITE now or later: windows that were declared, and those of its gitdeploy.toml."""
    found = asked.client.get(f"/sites/{site}/freezes")
    if as_json:
        screen.facts(found)
        return
    rows = [
        (
            one["id"],
            one["env"],
            screen.when(one["from"]),
            screen.when(one["until"]),
            one["actor"],
            one["reason"],
        )
        for one in found["declared"]
    ]
    rows += [
        ("gitdeploy.toml", name, window, "", "", "")
        for name, windows in found["settings"].items()
        for window in windows
    ]
    screen.table(rows, head=("FREEZE", "ENV", "FROM", "UNTIL", "BY", "WHY"), empty=f"Nothing freezes {site}.")
    for name, now in found["now"].items():
        until = f" until {now['until']}" if now["until"] else ""
        click.echo(f"{name} is frozen now{until}: {now['said']}", err=True)


COMMANDS = (group,)
