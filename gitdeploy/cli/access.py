from __future__ import annotations

from typing import TextIO

import click

from gitdeploy.cli import screen
from gitdeploy.cli.asking import Settings, as_json, settings
from gitdeploy.domain.role import EVERY_SITE


@click.group("access")
def group() -> None:
    """Who may do what: viewer < developer < maintainer < operator < admin."""


@group.command()
@click.argument("actor")
@click.argument("role")
@click.option("--site", default=EVERY_SITE, metavar="SITE", help="Only there; default: every site.")
@settings
def grant(asked: Settings, actor: str, role: str, site: str) -> None:
    """Give ACTOR a ROLE.

    \b
    developer   pushes branches and previews
    maintainer  promotes and rolls back; on every site: creates sites
    admin       decides who may do what
    """
    asked.client.ask("POST", "/access", {"actor": actor, "role": role, "site": site})
    click.echo(f"{actor} is {role} of {'every site' if site == EVERY_SITE else site}.", err=True)


@group.command()
@click.argument("actor")
@click.option(
    "--site", default=EVERY_SITE, metavar="SITE", help="Only there; default: the role on every site."
)
@settings
def revoke(asked: Settings, actor: str, site: str) -> None:
    """Take ACTOR's role away."""
    asked.client.ask("DELETE", f"/access/{actor}", query={"site": site})
    click.echo(f"{actor} has no role on {'every site' if site == EVERY_SITE else site} any more.", err=True)


@group.command("list")
@click.option("--site", default="", metavar="SITE", help="Who can change this one.")
@as_json
@settings
def listing(asked: Settings, site: str, as_json: bool) -> None:
    """List who holds which role where."""
    found = asked.client.get("/access", site=site)
    if as_json:
        screen.facts(found)
        return
    rows = [(one["actor"], one["role"], one["site"]) for one in found]
    screen.table(rows, head=("ACTOR", "ROLE", "SITE"), empty="Nobody but the server's own user.")


@click.group()
def token() -> None:
    """Tokens for git over HTTP and for the API."""


@token.command("create")
@click.argument("actor")
@click.option("--expires", default="", metavar="TIME", help="Such as 90d; default: never.")
@as_json
@settings
def create_token(asked: Settings, actor: str, expires: str, as_json: bool) -> None:
    """Make a token for ACTOR. It is shown this once and never kept."""
    made = asked.client.ask("POST", "/tokens", {"actor": actor, "expires": expires})
    if as_json:
        screen.facts(made)
        return
    click.echo(made["token"])
    click.echo(f"{made['id']} for {actor}; git asks for it as the password.", err=True)


@token.command("list")
@as_json
@settings
def list_tokens(asked: Settings, as_json: bool) -> None:
    """List tokens, never their secrets."""
    found = asked.client.get("/tokens")
    if as_json:
        screen.facts(found)
        return
    rows = [
        (one["id"], one["actor"], "revoked" if one["revoked_at"] else screen.when(one["expires_at"]),
         screen.when(one["used_at"]))
        for one in found
    ]  # fmt: skip
    screen.table(
        rows, head=("TOKEN", "ACTOR", "UNTIL", "LAST USED"), empty="No tokens: gitdeploy token create ACTOR"
    )


@token.command("revoke")
@click.argument("id")
@settings
def revoke_token(asked: Settings, id: str) -> None:
    """Let a token count no more, at once."""
    asked.client.ask("DELETE", f"/tokens/{id}")
    click.echo(f"{id} is revoked.", err=True)


@click.group()
def key() -> None:
    """SSH keys."""


@key.command("add")
@click.argument("actor")
@click.argument("file", type=click.File("r"), default="-")
@as_json
@settings
def add_key(asked: Settings, actor: str, file: TextIO, as_json: bool) -> None:
    """Let the public key in FILE (default: standard input) stand for ACTOR."""
    made = asked.client.ask("POST", "/keys", {"actor": actor, "key": file.read().strip()})
    if as_json:
        screen.facts(made)
    else:
        click.echo(f"{made['id']} for {actor}", err=True)


@key.command("list")
@as_json
@settings
def list_keys(asked: Settings, as_json: bool) -> None:
    """List the keys."""
    found = asked.client.get("/keys")
    if as_json:
        screen.facts(found)
        return
    rows = [(one["id"], one["actor"], one["kind"], one["comment"]) for one in found]
    screen.table(
        rows, head=("KEY", "ACTOR", "KIND", "COMMENT"), empty="No keys: gitdeploy key add ACTOR FILE"
    )


@key.command("remove")
@click.argument("id")
@settings
def remove_key(asked: Settings, id: str) -> None:
    """Forget a key."""
    asked.client.ask("DELETE", f"/keys/{id}")
    click.echo(f"{id} is removed.", err=True)


COMMANDS = (group, token, key)
