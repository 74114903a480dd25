from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from gitdeploy.cli import screen
from gitdeploy.cli.asking import Settings, as_json, settings
from gitdeploy.domain import units
from gitdeploy.errors import Invalid

_site = click.option("--site", default="", metavar="SITE", help="Only this site's.")
_since = click.option(
    "--since", default="", metavar="TIME", help="Only since then: 2026-11-01T02:00, or 2h ago as 2h."
)


@click.group("events", invoke_without_command=True)
@_site
@_since
@click.option("--limit", default=100, show_default=True, help="At most so many.")
@click.option("-f", "--follow", is_flag=True, help="Print what happens from now on, or since TIME, until ^C.")
@as_json
@settings
@click.pass_context
def group(
    context: click.Context, asked: Settings, site: str, since: str, limit: int, follow: bool, as_json: bool
) -> None:
    """The audit log, newest first; each line holds the hash of the one before."""
    if context.invoked_subcommand:
        return
    if follow:
        last = [] if since else asked.client.get("/events", site=site, limit=1)
        after = last[0]["id"] if last else ""
        for one in _lines(asked, site=site, since=_utc(since), after=after, follow=True):
            click.echo(json.dumps(one, ensure_ascii=False) if as_json else "  ".join(_row(one)))
        return
    found = asked.client.every("/events", site=site, since=_utc(since), most=limit)
    if as_json:
        screen.facts(found)
        return
    screen.table(
        map(_row, found), head=("AT", "ACTION", "SITE", "SUBJECT", "BY"), empty="Nothing has happened yet."
    )


@group.command()
@_site
@_since
@settings
def export(asked: Settings, site: str, since: str) -> None:
    """Print the audit log as JSON lines, oldest first."""
    screen.stream(asked.client.chunks("/events/lines", site=site, since=_utc(since)))


@group.command()
@as_json
@settings
def verify(asked: Settings, as_json: bool) -> None:
    """Compute the hash of every line again; names the first that was changed, or comes after one that is gone."""
    found = asked.client.get("/events/verify")
    if as_json:
        screen.facts(found)
    elif found["broken"]:
        click.echo(
            f"The audit log is broken at line {found['number']}, {found['broken']}: {found['why']}.", err=True
        )
    else:
        click.echo(f"{found['number']} lines hold; the last is {found['head']}")
    sys.exit(6 if found["broken"] else 0)


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    shown = (screen.when(one["at"]), one["action"], one["site"], one["subject"], one["actor"])
    return tuple(map(screen.clean, shown))


def _lines(asked: Settings, **query: object) -> Iterator[dict[str, Any]]:
    rest = b""
    for chunk in asked.client.chunks("/events/lines", **query):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from map(json.loads, whole)


def _utc(text: str) -> str:
    if not text:
        return ""
    try:
        if text[0].isdigit() and "-" not in text:
            return (datetime.now(UTC) - timedelta(seconds=units.parse_duration(text))).isoformat()
        return datetime.fromisoformat(text).astimezone(UTC).isoformat()
    except ValueError:
        raise Invalid(f"{text[:40]!r} is not a time.", "Write 2026-11-01T02:00, or 2h.") from None


COMMANDS = (group,)
