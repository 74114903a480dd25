from __future__ import annotations

from pathlib import Path

import click

from gitdeploy.cli import screen
from gitdeploy.cli.asking import Settings, as_json, env, settings, site
from gitdeploy.errors import Invalid


@click.group("domain")
def group() -> None:
    """Domains of a site's own, such as example.org; point their DNS at the server."""


@group.command()
@site
@click.argument("domain")
@env
@click.option(
    "--cert", type=click.Path(path_type=Path), metavar="FILE", help="A certificate of your own, in PEM."
)
@click.option("--key", type=click.Path(path_type=Path), metavar="FILE", help="Its key, in PEM.")
@as_json
@settings
def add(
    asked: Settings, site: str, domain: str, env: str, cert: Path | None, key: Path | None, as_json: bool
) -> None:
    """Lead DOMAIN to SITE; the name with (or without) www. is redirected to it.

    Over HTTPS its certificate is got by itself when the first visitor comes.
    """
    body = {"domain": domain, "env": env, "cert": _read(cert), "key": _read(key)}
    made = asked.client.ask("POST", f"/sites/{site}/domains", body)
    if as_json:
        screen.facts(made)
        return
    click.echo(f"{made['url']} is {made['env']} of {site}.", err=True)
    if made["redirected"]:
        click.echo(f"{made['redirected']} is redirected to it.", err=True)


@group.command()
@site
@click.argument("domain")
@settings
def remove(asked: Settings, site: str, domain: str) -> None:
    """Let DOMAIN answer no more."""
    removed = asked.client.ask("DELETE", f"/sites/{site}/domains/{domain}")["removed"]
    click.echo(f"{removed} answers no more.", err=True)


@group.command("list")
@site
@as_json
@settings
def listing(asked: Settings, site: str, as_json: bool) -> None:
    """List the domains of SITE."""
    found = asked.client.every(f"/sites/{site}/domains")
    if as_json:
        screen.facts(found)
        return
    rows = [(one["domain"], one["env"], one["redirected"], one["certificate"], one["url"]) for one in found]
    screen.table(
        rows,
        head=("DOMAIN", "ENV", "REDIRECTED", "CERTIFICATE", "URL"),
        empty=f"No domains: gitdeploy domain add {site} example.org",
    )


def _read(path: Path | None) -> str:
    try:
        return path.read_text("utf-8") if path else ""
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not text"
        raise Invalid(f"{path} cannot be read: {said}.", "Give a file in PEM.") from error


COMMANDS = (group,)
