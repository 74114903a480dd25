from __future__ import annotations

import click

from gitdeploy.cli import screen
from gitdeploy.cli.asking import Settings, as_json, settings, site


@click.command("approvals")
@site
@click.option("--all", "everything", is_flag=True, help="Also those that ended, and how.")
@as_json
@settings
def listing(asked: Settings, site: str, everything: bool, as_json: bool) -> None:
    """What of SITE waits for approvals before it goes live, newest first."""
    found = asked.client.every(f"/sites/{site}/approvals", all=everything or "")
    if as_json:
        screen.facts(found)
        return
    rows = [
        (one["id"], one["env"], one["state"], one["commit"][:7], one["actor"],
         ", ".join(vote["actor"] for vote in one["votes"]), one["subject"])
        for one in found
    ]  # fmt: skip
    head = ("APPROVAL", "ENV", "STATE", "COMMIT", "ASKED BY", "APPROVED BY", "")
    screen.table(rows, head=head, empty="Nothing waits for approvals.")


@click.command()
@click.argument("id")
@click.option("--reject", is_flag=True, help="Say no; needs --reason.")
@click.option("--reason", default="", metavar="TEXT", help="With --reject: why not.")
@as_json
@settings
def approve(asked: Settings, id: str, reject: bool, reason: str, as_json: bool) -> None:
    """Let what ID asks for go live. Nobody approves what they asked for or pushed themselves."""
    if reject:
        found = asked.client.ask("POST", f"/approvals/{id}/reject", {"reason": reason})
        click.echo(f"{id} is rejected.", err=True)
    else:
        found = asked.client.follow(f"/approvals/{id}/approve", None, screen.prose)
    if as_json:
        screen.facts(found)


COMMANDS = (listing, approve)
