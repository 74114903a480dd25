from __future__ import annotations

import click

from gitdeploy.cli import screen
from gitdeploy.cli.asking import Settings, as_json, settings, site


@click.group("rehearsal")
def group() -> None:
    """What was run on copies: what it depends on, what it found, how long it took."""


@group.command("list")
@site
@click.option("--env", default="", metavar="ENV", help="Only this environment; default: all of them.")
@click.option("--limit", default=50, show_default=True, help="At most so many.")
@as_json
@settings
def listing(asked: Settings, site: str, env: str, limit: int, as_json: bool) -> None:
    """List the rehearsals of SITE, newest first."""
    found = asked.client.every(f"/sites/{site}/rehearsals", env=env, most=limit)
    if as_json:
        screen.facts(found)
        return
    rows = [
        (one["id"], one["env"], one["verb"], one["subject"][:24], one["state"], one["seconds"], one["pause"],
         screen.when(one["created_at"]), one["actor"])
        for one in found
    ]  # fmt: skip
    head = ("REHEARSAL", "ENV", "OF", "SUBJECT", "STATE", "SECONDS", "PAUSE", "WHEN", "BY")
    screen.table(rows, head=head, empty="No rehearsals: push with -o rehearse, or add --rehearse.")


@group.command()
@site
@click.argument("rehearsal", metavar="REHEARSAL", default="latest")
@as_json
@settings
def show(asked: Settings, site: str, rehearsal: str, as_json: bool) -> None:
    """Show what REHEARSAL (its id, or latest) depends on and what it found."""
    found = asked.client.get(f"/sites/{site}/rehearsals/{rehearsal}")
    if as_json:
        screen.facts(found)
        return
    click.echo(f"{found['verb']} of {found['subject']} in {found['env']}: {found['state']}")
    if found["error"]:
        click.echo(found["error"])
    for name, value in found["depends_on"].items():
        click.echo(f"{name}: {value or '-'}")
    for name, one in found["findings"].get("databases", {}).items():
        for change in one["schema"]["changes"]:
            click.echo(f"{name}  {change}")
        for table, (was, rows) in one["tables"].items():
            click.echo(f"{name}  {table}  {screen.clean(was)} -> {screen.clean(rows)} rows")
    click.echo(f"{found['seconds']} s, and {found['pause']} s without databases to be expected", err=True)


COMMANDS = (group,)
