from __future__ import annotations

import sys
from typing import Any

import click

from gitdeploy.cli import screen
from gitdeploy.cli.asking import Settings, as_json, settings
from gitdeploy.domain.webhook import FORGES, FORMATS

where = click.option("--site", default="", metavar="SITE", help="Only this site's; default: all sites'.")


@click.group("webhook")
def group() -> None:
    """Tell others what happens: signed JSON, chat, mail, the status of a commit on a forge."""


@group.command()
@click.argument("url")
@where
@click.option(
    "--format", type=click.Choice([*FORMATS]), default="json", show_default=True, help="How it is told."
)
@click.option(
    "--event", "events", multiple=True, metavar="PATTERN",
    help='Such as "release.*"; may be given again. Default: what fits the format.',
)  # fmt: skip
@as_json
@settings
def add(asked: Settings, url: str, site: str, format: str, events: tuple[str, ...], as_json: bool) -> None:
    """Tell events to URL, one after the other, again for a day when it does not answer.

    \b
    json                  signed with a secret that is shown this once
    slack                 a chat: Slack, Mattermost, Rocket.Chat
    github gitlab gitea   the status of the commit; URL is the repository's page,
                          a token that may set it is read from standard input
    mail                  mailto:ops@example.org
    """
    token = _token() if format in FORGES else ""
    body = {"url": url, "site": site, "format": format, "events": list(events), "token": token}
    made = asked.client.ask("POST", "/webhooks", body)
    if as_json:
        screen.facts(made)
        return
    if made["secret"]:
        click.echo(made["secret"])
    click.echo(f"{made['id']} tells {', '.join(made['events'])} to {made['url']}.", err=True)
    click.echo(f"Try it: gitdeploy webhook test {made['id']}", err=True)


@group.command("list")
@where
@as_json
@settings
def listing(asked: Settings, site: str, as_json: bool) -> None:
    """List the webhooks, and whether they work."""
    found = asked.client.every("/webhooks", site=site)
    if as_json:
        screen.facts(found)
        return
    rows = [
        (
            one["id"],
            one["site"] or "(all)",
            one["format"],
            " ".join(one["events"]),
            one["error"] or "well",
            one["url"],
        )
        for one in found
    ]
    head = ("WEBHOOK", "SITE", "FORMAT", "EVENTS", "STATE", "URL")
    screen.table(rows, head=head, empty="No webhooks: gitdeploy webhook add URL")


@group.command()
@click.argument("webhook")
@settings
def remove(asked: Settings, webhook: str) -> None:
    """Tell WEBHOOK nothing more."""
    click.echo(f"{asked.client.ask('DELETE', f'/webhooks/{webhook}')['removed']} is removed.", err=True)


@group.command()
@click.argument("webhook")
@as_json
@settings
def test(asked: Settings, webhook: str, as_json: bool) -> None:
    """Send WEBHOOK a made-up event, and say what came of it."""
    _told(asked.client.ask("POST", f"/webhooks/{webhook}/test"), as_json)


@group.command()
@click.argument("webhook")
@click.option("--limit", default=50, show_default=True, help="At most so many.")
@as_json
@settings
def deliveries(asked: Settings, webhook: str, limit: int, as_json: bool) -> None:
    """List what was sent to WEBHOOK, newest first; with --json also request and answer."""
    found = asked.client.every(f"/webhooks/{webhook}/deliveries", most=limit)
    if as_json:
        screen.facts(found)
        return
    rows = [
        (one["id"], screen.when(one["at"]), one["action"], one["state"], one["status"], f"{one['seconds']:.1f} s",
         one["error"])
        for one in found
    ]  # fmt: skip
    head = ("DELIVERY", "AT", "EVENT", "STATE", "ANSWER", "TOOK", "ERROR")
    screen.table(rows, head=head, empty=f"Nothing yet: gitdeploy webhook test {webhook}")


@group.command()
@click.argument("delivery")
@as_json
@settings
def redeliver(asked: Settings, delivery: str, as_json: bool) -> None:
    """Send the event of DELIVERY once more."""
    _told(asked.client.ask("POST", f"/deliveries/{delivery}/redeliver"), as_json)


def _told(sent: dict[str, Any], as_json: bool) -> None:
    if as_json:
        screen.facts(sent)
    else:
        answer = f", it answered {sent['status']}" if sent["state"] == "delivered" else f": {sent['error']}"
        click.echo(f"{sent['id']} {sent['state']} in {sent['seconds']:.1f} s{screen.clean(answer)}", err=True)
    sys.exit(0 if sent["state"] == "delivered" else 1)


def _token() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Token", hide_input=True, err=True))
    return sys.stdin.readline().strip()


COMMANDS = (group,)
