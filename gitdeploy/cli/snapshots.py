from __future__ import annotations

import sys
from typing import Any

import click

from gitdeploy.cli import screen
from gitdeploy.cli.asking import Settings, as_json, env, rehearsing, settings, site


@click.group("snapshot")
def group() -> None:
    """Databases and files of an environment at one instant: the way back for what a rollback does not undo."""


snapshot = click.argument("snapshot", metavar="SNAPSHOT")


@group.command()
@site
@env
@click.option("--label", default="", metavar="TEXT", help="A name to find it by.")
@click.option("--pin", "pinned", is_flag=True, help="Keep it whatever retention says.")
@as_json
@settings
def take(asked: Settings, site: str, env: str, label: str, pinned: bool, as_json: bool) -> None:
    """Capture ENV of SITE, and prove the snapshot by restoring it into a throwaway."""
    body = {"env": env, "label": label, "pinned": pinned}
    made = asked.client.follow(f"/sites/{site}/snapshots", body, screen.prose)
    if as_json:
        screen.facts(made)


@group.command("list")
@site
@click.option("--env", default="", metavar="ENV", help="Only this environment; default: all of them.")
@as_json
@settings
def listing(asked: Settings, site: str, env: str, as_json: bool) -> None:
    """List the snapshots of SITE, newest first."""
    found = asked.client.every(f"/sites/{site}/snapshots", env=env)
    if as_json:
        screen.facts(found)
        return
    rows = [
        (one["snapshot"], one["env"], screen.when(one["created_at"]), one["cause"], one["release"],
         sum(of["rows"] for of in one["database"].values()), one["files"], one["bytes"],
         "proven" if one["verified"] else "damaged" if one["flaw"] else "not proven",
         "copied" if one["copied"] else "", one["label"])
        for one in found
    ]  # fmt: skip
    head = (
        "SNAPSHOT",
        "ENV",
        "TAKEN",
        "CAUSE",
        "RELEASE",
        "ROWS",
        "FILES",
        "BYTES",
        "PROOF",
        "COPY",
        "LABEL",
    )
    screen.table(rows, head=head, empty=f"No snapshots: gitdeploy snapshot take {site}")


@group.command()
@site
@snapshot
@as_json
@settings
def show(asked: Settings, site: str, snapshot: str, as_json: bool) -> None:
    """Show what SNAPSHOT (s12, id, label or latest) holds, and its proof."""
    _show(asked.client.get(f"/sites/{site}/snapshots/{snapshot}"), as_json)


@group.command()
@site
@snapshot
@as_json
@settings
def verify(asked: Settings, site: str, snapshot: str, as_json: bool) -> None:
    """Restore SNAPSHOT into a throwaway once more, and compare every table and file."""
    found = asked.client.follow(f"/sites/{site}/snapshots/{snapshot}/verify", None, screen.prose)
    if as_json:
        screen.facts(found)


@group.command()
@site
@snapshot
@click.option(
    "--env", default="", metavar="ENV", help="Into this environment; default: the one it was taken of."
)
@click.option("--code", is_flag=True, help="Bring back the release of that time too.")
@click.option("--reason", default="", help="Why; kept with the release.")
@click.option("--dry-run", is_flag=True, help="Check everything and change nothing.")
@rehearsing
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@as_json
@settings
def restore(
    asked: Settings, site: str, snapshot: str, env: str, code: bool, reason: str, dry_run: bool, rehearse: bool,
    rehearsal: str, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Make databases and files of SNAPSHOT those of an environment. What is there now is captured first.

    To look before you do, restore it into a preview: --env BRANCH.
    """
    if not (yes or dry_run or rehearse or as_json) and sys.stdin.isatty():
        click.confirm(f"Replace the data of {env or 'its environment'} in {site}?", abort=True, err=True)
        yes = True
    body = {
        "env": env, "code": code, "confirm": yes or dry_run, "reason": reason, "dry_run": dry_run,
        "rehearse": rehearse, "rehearsal": rehearsal,
    }  # fmt: skip
    made = asked.client.follow(f"/sites/{site}/snapshots/{snapshot}/restore", body, screen.prose)
    if as_json:
        screen.facts(made)


@group.command()
@site
@click.option("--origin", default="", metavar="ID", help="The id that the site had, when that is another.")
@as_json
@settings
def fetch(asked: Settings, site: str, origin: str, as_json: bool) -> None:
    """Bring back the copies of SITE's snapshots that are not here, from where [snapshots] copy in server.toml says."""
    found = asked.client.follow(f"/sites/{site}/snapshots/fetch", {"origin": origin}, screen.prose)
    if as_json:
        screen.facts(found)


@group.command()
@site
@snapshot
@click.option("--off", is_flag=True, help="Let it go again.")
@settings
def pin(asked: Settings, site: str, snapshot: str, off: bool) -> None:
    """Keep SNAPSHOT whatever retention says."""
    query: dict[str, object] = {"pinned": not off or "false"}
    asked.client.ask("POST", f"/sites/{site}/snapshots/{snapshot}/pin", query=query)


@group.command()
@site
@snapshot
@settings
def remove(asked: Settings, site: str, snapshot: str) -> None:
    """Forget SNAPSHOT; its bytes go with the next gitdeploy gc."""
    removed = asked.client.ask("DELETE", f"/sites/{site}/snapshots/{snapshot}")["removed"]
    click.echo(f"{removed} is forgotten.", err=True)


def _show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        screen.facts(found)
        return
    click.echo(
        f"{found['snapshot']} of {found['env']}, taken {screen.when(found['created_at'])} by {found['actor']}"
    )
    click.echo(f"{found['files']} files, {found['bytes']} bytes, {found['release']} was live")
    for name, one in found["database"].items():
        for table, rows in one["tables"].items():
            click.echo(f"{name}  {table}  {rows} rows")
    if found["newer"]:
        click.echo(f"{found['newer']} files are newer than the databases", err=True)
    proof = found["verified"]
    waits = found["flaw"] or "not proven yet"
    click.echo(f"{proof['how']} {screen.when(proof['at'])}" if proof else waits, err=True)
    if copy := found["copied"]:
        click.echo(f"copied to {copy['to']} {screen.when(copy['at'])}", err=True)


COMMANDS = (group,)
