from __future__ import annotations

import sys
from typing import Any

import click

from gitdeploy.cli import screen
from gitdeploy.cli.asking import Settings, as_json, rehearsing, settings, site


@click.group("cutover")
def group() -> None:
    """A preview's data becomes production's: requested by one, acked and run by an operator."""


request_ = click.argument("request", metavar="REQUEST")
ticket = click.option("--ticket", default="", metavar="REF", help="The ticket in which it is agreed on.")


@group.command()
@site
@click.argument("preview", metavar="PREVIEW")
@click.option(
    "--note", default="", metavar="TEXT", help="What operators should know; up to 1,000 characters."
)
@ticket
@as_json
@settings
def request(asked: Settings, site: str, preview: str, note: str, ticket: str, as_json: bool) -> None:
    """Ask that the data of PREVIEW become production's, and say what production would lose by it."""
    body = {"preview_id": preview, "customer_note": note, "external_ticket_ref": ticket}
    _follow(asked, f"/sites/{site}/cutover-requests", body, as_json)


@group.command("list")
@site
@as_json
@settings
def listing(asked: Settings, site: str, as_json: bool) -> None:
    """List the requests of SITE, newest first."""
    found = asked.client.every(f"/sites/{site}/cutover-requests")
    if as_json:
        screen.facts(found)
        return
    rows = [
        (one["id"], one["preview_id"], one["state"], one["requester"], screen.when(one["created_at"]),
         one["external_ticket_ref"], one["backup"], one["release"])
        for one in found
    ]  # fmt: skip
    head = ("REQUEST", "PREVIEW", "STATE", "BY", "REQUESTED", "TICKET", "BACKUP", "RELEASE")
    screen.table(rows, head=head, empty=f"No requests: gitdeploy cutover request {site} PREVIEW")


@group.command()
@site
@request_
@as_json
@settings
def show(asked: Settings, site: str, request: str, as_json: bool) -> None:
    """Show REQUEST, by its id, or the newest of a preview."""
    found = asked.client.get(f"/sites/{site}/cutover-requests/{request}")
    if as_json:
        screen.facts(found)
        return
    for name, value in found.items():
        if value is not None:
            shown = screen.when(value) if name.endswith("_at") else screen.clean(value)
            click.echo(f"{name.replace('_', ' ')}: {shown}")


@group.command()
@site
@request_
@ticket
@as_json
@settings
def ack(asked: Settings, site: str, request: str, ticket: str, as_json: bool) -> None:
    """Agree to REQUEST; it is run by another command, when that suits."""
    _follow(asked, f"/sites/{site}/cutover-requests/{request}/ack", {"external_ticket_ref": ticket}, as_json)


@group.command()
@site
@request_
@click.option("--reason", required=True, metavar="TEXT", help="Why not.")
@settings
def reject(asked: Settings, site: str, request: str, reason: str) -> None:
    """Refuse REQUEST, with a reason."""
    row = asked.client.ask("POST", f"/sites/{site}/cutover-requests/{request}/reject", {"reason": reason})
    click.echo(f"{row['id']} is rejected.", err=True)


@group.command()
@site
@request_
@click.option("--reason", default="", metavar="TEXT", help="Why.")
@settings
def cancel(asked: Settings, site: str, request: str, reason: str) -> None:
    """Take REQUEST back before it is run."""
    row = asked.client.ask("POST", f"/sites/{site}/cutover-requests/{request}/cancel", {"reason": reason})
    click.echo(f"{row['id']} is canceled.", err=True)


@group.command()
@site
@request_
@ticket
@click.option("--reason", default="", help="Kept with the release.")
@click.option(
    "--force-schema",
    is_flag=True,
    help="Also where production's code will not find its database as it left it; needs --reason.",
)
@click.option("--dry-run", is_flag=True, help="Check everything and change nothing.")
@rehearsing
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@as_json
@settings
def run(
    asked: Settings, site: str, request: str, ticket: str, reason: str, force_schema: bool, dry_run: bool,
    rehearse: bool, rehearsal: str, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Carry out REQUEST, which an operator has acked: a proven backup, then the preview's data over production's.

    With --rehearse REQUEST may also be a preview that nobody has requested a cutover of.
    """
    if not (yes or dry_run or rehearse or as_json) and sys.stdin.isatty():
        click.confirm(f"Replace the data of production of {site}?", abort=True, err=True)
    body = {
        "external_ticket_ref": ticket, "reason": reason, "force_schema": force_schema, "dry_run": dry_run,
        "rehearse": rehearse, "rehearsal": rehearsal,
    }  # fmt: skip
    _follow(asked, f"/sites/{site}/cutover-requests/{request}/run", body, as_json)


def _follow(asked: Settings, path: str, body: dict[str, Any], as_json: bool) -> None:
    found = asked.client.follow(path, body, screen.prose)
    if as_json:
        screen.facts(found)


COMMANDS = (group,)
