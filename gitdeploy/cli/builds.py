from __future__ import annotations

import sys
from typing import Any

import click

from gitdeploy.cli import screen
from gitdeploy.cli.asking import Settings, as_json, settings, site


@click.command("builds")
@site
@click.option("--limit", default=50, show_default=True, help="At most so many.")
@as_json
@settings
def listing(asked: Settings, site: str, limit: int, as_json: bool) -> None:
    """The builds of SITE, newest first."""
    found = asked.client.every(f"/sites/{site}/builds", most=limit)
    if as_json:
        screen.facts(found)
        return
    rows = [
        (one["id"], one["state"], one["commit"][:7], one["ref"].removeprefix("refs/heads/"),
         _took(one), screen.when(one["created_at"]),
         one["error"] or one["subject"])
        for one in found
    ]  # fmt: skip
    head = ("BUILD", "STATE", "COMMIT", "BRANCH", "TOOK", "ASKED FOR", "SUBJECT")
    screen.table(rows, head=head, empty=f"{site} has no builds yet: git push managed main")


def _took(one: dict[str, Any]) -> str:
    """And on which other machine."""
    if one["seconds"] is None:
        return "-"
    return f"{one['seconds']:.1f} s" + (f" on {one['builder']}" if one["builder"] else "")


@click.group("build")
def group() -> None:
    """Show, follow and cancel one build."""


@group.command()
@click.argument("build")
@as_json
@settings
def show(asked: Settings, build: str, as_json: bool) -> None:
    """Show BUILD; the first characters of its id are enough."""
    found = asked.client.get(f"/builds/{build}")
    if as_json:
        screen.facts(found)
        return
    for name in (
        "id",
        "state",
        "site",
        "commit",
        "ref",
        "actor",
        "artifact",
        "builder",
        "reused_from",
        "seconds",
        "error",
    ):
        if found[name] is not None:
            click.echo(f"{name:12} {found[name]}")


@group.command("log")
@click.argument("build")
@click.option("-f", "--follow", is_flag=True, help="Go on until the build ends.")
@settings
def show_log(asked: Settings, build: str, follow: bool) -> None:
    """Print the log of BUILD."""
    screen.stream(asked.client.chunks(f"/builds/{build}/log", follow=follow))


@group.command()
@click.argument("build")
@as_json
@settings
def cancel(asked: Settings, build: str, as_json: bool) -> None:
    """Stop BUILD; returns when nothing of it runs any more."""
    found = asked.client.follow(f"/builds/{build}/cancel", None, screen.prose)
    if as_json:
        screen.facts(found)


@click.command()
@site
@as_json
@settings
def previews(asked: Settings, site: str, as_json: bool) -> None:
    """The previews of SITE, with their addresses."""
    found = asked.client.every(f"/sites/{site}/environments", kind="preview")
    if as_json:
        screen.facts(found)
        return
    rows = [
        (one["name"], one["state"], one["release"], screen.when(one["expires_at"]), one["url"])
        for one in found
    ]
    head = ("BRANCH", "STATE", "RELEASE", "UNTIL", "URL")
    screen.table(rows, head=head, empty=f"{site} has no previews: git push managed <branch>")


@click.group("preview")
def preview() -> None:
    """Extend, protect and remove one preview."""


@preview.command()
@site
@click.argument("branch")
@click.option(
    "--ttl", default="14d", show_default=True, metavar="TIME", help="From now on; 0s: as long as its branch."
)
@as_json
@settings
def extend(asked: Settings, site: str, branch: str, ttl: str, as_json: bool) -> None:
    """Let the preview of BRANCH live longer."""
    found = asked.client.ask("POST", f"/sites/{site}/previews/{branch}/extend", {"ttl": ttl})
    if as_json:
        screen.facts(found)
    else:
        click.echo(f"{branch} stays until {screen.when(found['expires_at'])}.", err=True)


@preview.command()
@site
@click.argument("branch")
@settings
def remove(asked: Settings, site: str, branch: str) -> None:
    """Take the preview of BRANCH away; the branch stays."""
    asked.client.ask("DELETE", f"/sites/{site}/previews/{branch}")
    click.echo(f"The preview of {branch} is removed.", err=True)


@preview.command()
@site
@click.argument("branch")
@click.option("--off", is_flag=True, help="Ask for no password any more.")
@settings
def protect(asked: Settings, site: str, branch: str, off: bool) -> None:
    """Ask visitors of the preview of BRANCH for a password, which is read from the terminal or standard input."""
    if off:
        asked.client.ask("DELETE", f"/sites/{site}/password", query={"env": branch})
        click.echo(f"{branch} is open to everybody.", err=True)
        return
    terminal = sys.stdin.isatty()
    secret = (
        click.prompt("Password", hide_input=True, err=True) if terminal else sys.stdin.readline().rstrip("\n")
    )
    asked.client.ask("PUT", f"/sites/{site}/password", {"password": secret, "env": branch})
    click.echo(f"{branch} asks for the password now, with any user name.", err=True)


COMMANDS = (listing, group, previews, preview)
