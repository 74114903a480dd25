from __future__ import annotations

import os

import click

from gitdeploy.cli import screen
from gitdeploy.cli.asking import Settings, as_json, settings


@click.group("backup", invoke_without_command=True)
@as_json
@settings
@click.pass_context
def group(context: click.Context, asked: Settings, as_json: bool) -> None:
    """Copy what is new of the whole server to where [backup] in server.toml says, while it serves: sites, history,
    people, keys, and a proven snapshot of every environment's data.
    """
    if context.invoked_subcommand:
        return
    made = asked.client.follow("/backups", None, screen.prose)
    if as_json:
        screen.facts(made)
    if made["without"]:
        raise SystemExit(1)


@group.command("list")
@as_json
@settings
def listing(asked: Settings, as_json: bool) -> None:
    """List the backups, newest first."""
    found = asked.client.every("/backups")
    if as_json:
        screen.facts(found)
        return
    rows = [
        (one["id"], screen.when(one["created_at"]), one["place"], str(one["bytes"]), str(one["stored"]),
         "complete" if not one["without"] else "without " + "; ".join(one["without"]))
        for one in found
    ]  # fmt: skip
    screen.table(
        rows, head=("BACKUP", "TAKEN", "TO", "BYTES", "NEW", ""), empty="No backups: gitdeploy backup"
    )


@group.command()
@click.argument("place")
@click.option("--id", "id", default="", metavar="BACKUP", help="Another than the newest.")
@as_json
@settings
def restore(asked: Settings, place: str, id: str, as_json: bool) -> None:
    """Bring a server back from PLACE, a folder or s3://bucket/prefix, into a home that does not exist yet (--home).

    Every file is compared with its hash, and databases and data folders are filled from their snapshots. The password
    of a sealed backup is read from GITDEPLOY_BACKUP_PASSWORD, so that no list of processes shows it. What is not
    known of a bucket is taken from AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
    Killed or failed, it is finished by doing it again. Then: gitdeploy serve
    """
    from gitdeploy.web import offline

    password = os.environ.get("GITDEPLOY_BACKUP_PASSWORD", "")
    found = offline.restore(asked.home, place, id, password, lambda data: screen.prose(data.decode()))
    if as_json:
        screen.facts(found)
    else:
        screen.prose(f"=====> {asked.home} is back: gitdeploy serve --home {asked.home}\n")


COMMANDS = (group,)
