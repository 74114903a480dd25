from __future__ import annotations

import sys

import click

from gitdeploy.cli import screen
from gitdeploy.cli.asking import Settings, as_json, rehearsing, settings, site


@click.command()
@site
@click.option(
    "--from", "source", required=True, metavar="ENV", help="Environment, a preview's branch, or a snapshot."
)
@click.option("--to", "target", required=True, metavar="ENV", help="Environment, or a preview's branch.")
@click.option("--database", is_flag=True, help="The database; without --files it alone.")
@click.option("--files", is_flag=True, help="The files; without --database they alone.")
@click.option(
    "--only",
    multiple=True,
    metavar="WHAT",
    help="A group, table:NAME or a path; again or with commas for more.",
)
@click.option("--overwrite", is_flag=True, help="Also what production has changed itself since.")
@click.option("--reason", default="", help="Why; kept with the move.")
@click.option("--dry-run", is_flag=True, help="Say what would be added, changed and removed; change nothing.")
@rehearsing
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@as_json
@settings
def clone(
    asked: Settings, site: str, source: str, target: str, database: bool, files: bool, only: tuple[str, ...],
    overwrite: bool, reason: str, dry_run: bool, rehearse: bool, rehearsal: str, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Move content of one environment of SITE into another: production's to staging, or staging's into production.

    What [content] never names does not move. Into anything but a preview a proven snapshot is taken first.
    """
    if not (yes or dry_run or rehearse or as_json) and sys.stdin.isatty():
        click.confirm(f"Change the content of {target} of {site}?", abort=True, err=True)
        yes = True
    body = {
        "from": source, "to": target, "database": database, "files": files, "overwrite": overwrite,
        "only": [part.strip() for one in only for part in one.split(",") if part.strip()],
        "confirm": yes, "reason": reason, "dry_run": dry_run, "rehearse": rehearse, "rehearsal": rehearsal,
    }  # fmt: skip
    found = asked.client.follow(f"/sites/{site}/clone", body, screen.prose)
    if as_json:
        screen.facts(found)


@click.command("moves")
@site
@click.option("--env", default="", metavar="ENV", help="Only into this environment; default: all of them.")
@as_json
@settings
def listing(asked: Settings, site: str, env: str, as_json: bool) -> None:
    """List what content was moved between the environments of SITE, newest first."""
    found = asked.client.every(f"/sites/{site}/moves", env=env)
    if as_json:
        screen.facts(found)
        return
    rows = [
        (one["id"], screen.when(one["created_at"]), one["from"], one["to"], one["state"], _counts(one, "rows"),
         _counts(one, "files"), one["snapshot"], one["actor"], one["reason"] or one["error"])
        for one in found
    ]  # fmt: skip
    head = ("MOVE", "AT", "FROM", "TO", "STATE", "ROWS", "FILES", "SNAPSHOT", "BY", "REASON")
    screen.table(rows, head=head, empty=f"No content has moved: gitdeploy clone {site} --from ENV --to ENV")


def _counts(one: dict[str, dict[str, int]], what: str) -> str:
    """`+3 ~1 -0`"""
    count = one.get(what)
    return f"+{count['added']} ~{count['changed']} -{count['removed']}" if count else ""


COMMANDS = (clone, listing)
