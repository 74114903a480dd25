from __future__ import annotations

import os

import click

from gitdeploy.cli import screen
from gitdeploy.cli.asking import Settings, as_json, settings

PASSWORD = "GITDEPLOY_STANDBY_PASSWORD"


@click.group("standby")
def group() -> None:
    """A second machine that has what this server has, and can take its place by one command."""


@group.command("follow")
@click.argument("place")
@settings
def follow(asked: Settings, place: str) -> None:
    """Follow the server that ships to PLACE, a folder or s3://bucket/prefix, in a home that does not exist yet.

    It runs until it is stopped or promoted, and goes on where it was when it is started again. The password of a
    sealed place is read from GITDEPLOY_STANDBY_PASSWORD; what is not known of a bucket is taken from
    AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
    """
    from gitdeploy.web import standby

    standby.run(asked.home, place, os.environ.get(PASSWORD, ""), lambda data: screen.prose(data.decode()))


@group.command("status")
@as_json
@settings
def status(asked: Settings, as_json: bool) -> None:
    """Say whether this machine's server acts, follows or was replaced. How far behind is said by doctor."""
    from gitdeploy.web import standby

    found = standby.status(asked.home)
    if as_json:
        screen.facts(found)
        return
    click.echo(
        f"{found['role']}  term {found['term']} is {found['acting'] or 'nobody'}'s, by {found['place']}"
    )
    if found["role"] == "follows":
        click.echo(f"has what that server had at {found['taken'] or '(nothing yet)'}")
    for one in found["standbys"]:
        click.echo(f"standby {one['host']} has {one['applied']}")


@group.command("promote")
@as_json
@settings
def promote(asked: Settings, as_json: bool) -> None:
    """Have this machine's server take the place of the one that it follows, which from then on changes nothing.

    It claims that in the place, waits until the other has seen it or must have stopped, fetches what that one still
    shipped, and fills databases and data folders from their snapshots. Killed or failed, it is finished by doing it
    again. Then: gitdeploy serve
    """
    from gitdeploy.web import standby

    password = os.environ.get(PASSWORD, "")
    found = standby.promote(asked.home, password, lambda data: screen.prose(data.decode()))
    if as_json:
        screen.facts(found)
    else:
        screen.prose(
            f"=====> term {found['term']} is this server's: gitdeploy serve --home {found['home']}\n"
        )


COMMANDS = (group,)
