from __future__ import annotations

from typing import Any

import click

from gitdeploy.cli import screen
from gitdeploy.cli.asking import Settings, as_json, env, settings, site


@click.group("site")
def group() -> None:
    """Create, list, show, rename and remove sites."""


@group.command()
@site
@as_json
@settings
def create(asked: Settings, site: str, as_json: bool) -> None:
    """Make a site: a bare repository to push to."""
    made = asked.client.ask("POST", "/sites", {"name": site})
    if as_json:
        screen.facts(made)
        return
    click.echo(f"{site} is ready. In your project:")
    click.echo(f"  git remote add managed {made['remotes']['http']}")
    click.echo("  git push managed main")
    click.echo(f"It will answer at {made['urls']['production']}", err=True)


@group.command("list")
@as_json
@settings
def listing(asked: Settings, as_json: bool) -> None:
    """List the sites and what each serves."""
    found = asked.client.every("/sites")
    if as_json:
        screen.facts(found)
        return
    rows = [
        (one["name"], (one["live"] or {}).get("release"), (one["live"] or {}).get("commit", "")[:7],
         one["urls"]["production"])
        for one in found
    ]  # fmt: skip
    screen.table(
        rows, head=("SITE", "LIVE", "COMMIT", "URL"), empty="No sites yet: gitdeploy site create NAME"
    )


@group.command()
@site
@as_json
@settings
def show(asked: Settings, site: str, as_json: bool) -> None:
    """Show a site: remotes, addresses, what is live."""
    found = asked.client.get(f"/sites/{site}")
    screen.facts(found) if as_json else _show(found)


@group.command()
@site
@click.argument("name")
@as_json
@settings
def rename(asked: Settings, site: str, name: str, as_json: bool) -> None:
    """Give a site another NAME; its old addresses answer no more."""
    found = asked.client.ask("PATCH", f"/sites/{site}", {"name": name})
    screen.facts(found) if as_json else _show(found)


@group.command()
@site
@click.option("--yes", is_flag=True, help="Yes, delete its repository and history for good.")
@settings
def remove(asked: Settings, site: str, yes: bool) -> None:
    """Delete a site with its repository and history."""
    asked.client.ask("DELETE", f"/sites/{site}", query={"confirm": yes or ""})
    click.echo(f"{site} is removed.", err=True)


@click.command()
@site
@click.option("--reason", required=True, help="Whoever is refused will read it.")
@settings
def lock(asked: Settings, site: str, reason: str) -> None:
    """Let nothing go live on SITE, except a rollback, until it is unlocked.

    Previews go on. What was pushed to an environment without a gate goes live afterwards.
    """
    asked.client.ask("PUT", f"/sites/{site}/lock", {"reason": reason})
    click.echo(f"{site} is locked.", err=True)


@click.command()
@site
@settings
def unlock(asked: Settings, site: str) -> None:
    """Let releases go live again."""
    asked.client.ask("DELETE", f"/sites/{site}/lock")
    click.echo(f"{site} is unlocked.", err=True)


@click.group()
def maintenance() -> None:
    """Close a site to visitors for a while; nothing that is live changes."""


@maintenance.command("on")
@site
@click.option(
    "--message", default="We are working on this site.", show_default=True, help="What visitors read."
)
@click.option("--until", default="", metavar="TIME", help="When to come back, such as 2026-11-01T02:00Z.")
@env
@settings
def maintenance_on(asked: Settings, site: str, message: str, until: str, env: str) -> None:
    """Answer every visitor with a page that says why, and 503."""
    body = {"message": message, "until": until, "env": env}
    asked.client.ask("PUT", f"/sites/{site}/maintenance", body)
    click.echo(f"{env} of {site} is closed: gitdeploy maintenance off {site}", err=True)


@maintenance.command("off")
@site
@env
@settings
def maintenance_off(asked: Settings, site: str, env: str) -> None:
    """Serve again."""
    asked.client.ask("DELETE", f"/sites/{site}/maintenance", query={"env": env})
    click.echo(f"{env} of {site} is open.", err=True)


@click.group()
def allow() -> None:
    """Let visitors from known addresses in, and nobody else."""


@allow.command("add")
@site
@click.argument("networks", nargs=-1, required=True, metavar="NETWORK…")
@env
@settings
def allow_add(asked: Settings, site: str, networks: tuple[str, ...], env: str) -> None:
    """Let visitors from NETWORK in, such as 192.0.2.7 or 2001:db8::/32; all others get 403."""
    _allow(asked.client.ask("PATCH", f"/sites/{site}/allow", {"env": env, "add": networks}), site)


@allow.command("remove")
@site
@click.argument("networks", nargs=-1, required=True, metavar="NETWORK…")
@env
@settings
def allow_remove(asked: Settings, site: str, networks: tuple[str, ...], env: str) -> None:
    """Take NETWORK off the list. Without the last one everybody may come again."""
    _allow(asked.client.ask("PATCH", f"/sites/{site}/allow", {"env": env, "remove": networks}), site)


@allow.command("list")
@site
@env
@as_json
@settings
def allow_list(asked: Settings, site: str, env: str, as_json: bool) -> None:
    """List those who are let in."""
    found = asked.client.get(f"/sites/{site}/allow", env=env)
    if as_json:
        screen.facts(found)
        return
    rows = [(one,) for one in found["networks"]]
    screen.table(rows, head=("NETWORK",), empty=f"Everybody may visit {found['env']} of {site}.")


def _allow(found: dict[str, Any], site: str) -> None:
    known = len(found["networks"])
    who = f"Visitors from {known} network{'s' if known > 1 else ''}" if known else "Everybody"
    click.echo(f"{who} may visit {found['env']} of {site}.", err=True)


def _show(found: dict[str, Any]) -> None:
    live = found["live"]
    click.echo(
        f"{found['name']}: "
        + (f"{live['release']} {live['commit'][:7]} is live" if live else "nothing is live")
    )
    for name, url in found["urls"].items():
        click.echo(f"  {name:24} {url}")
    for url in found["domains"]:
        click.echo(f"  {'domain':24} {url}")
    for name, address in found["remotes"].items():
        click.echo(f"  remote ({name:4})            {address}")
    if found["lock"]:
        click.echo(f"  locked by {found['lock']}")


COMMANDS = (group, lock, unlock, maintenance, allow)
