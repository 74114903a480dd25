from __future__ import annotations

from typing import Any, TextIO

import click

from gitdeploy.cli import screen
from gitdeploy.cli.asking import Function, Settings, as_json, settings
from gitdeploy.domain.role import EVERY_SITE
from gitdeploy.errors import Invalid

_part = click.option(
    "--env",
    default="",
    metavar="ENV",
    help="Only in that environment, or those that a pattern names: 'feature/*'.",
)


def _limits(command: Function) -> Function:
    """`--site` and `--role` of what may less than its owner."""
    sites = click.option("--site", "sites", multiple=True, metavar="SITE", help="Good for this site alone.")
    role = click.option("--role", default="", metavar="ROLE", help="Good for no more than this role.")
    return sites(role(command))


def _limit(one: dict[str, Any]) -> str:
    return " ".join([*one["sites"], *([one["role"]] if one["role"] else [])])


@click.group("access")
def group() -> None:
    """Who may do what: viewer < developer < maintainer < operator < admin."""


@group.command()
@click.argument("actor")
@click.argument("role")
@click.option("--site", default=EVERY_SITE, metavar="SITE", help="Only there; default: every site.")
@_part
@settings
def grant(asked: Settings, actor: str, role: str, site: str, env: str) -> None:
    """Give ACTOR a ROLE.

    \b
    developer   pushes branches and previews
    maintainer  promotes and rolls back; on every site: creates sites
    admin       decides who may do what
    """
    asked.client.ask("POST", "/access", {"actor": actor, "role": role, "site": site, "env": env})
    click.echo(f"{actor} is {role} of {_where(site, env)}.", err=True)


@group.command()
@click.argument("actor")
@click.option(
    "--site", default=EVERY_SITE, metavar="SITE", help="Only there; default: the role on every site."
)
@_part
@settings
def revoke(asked: Settings, actor: str, site: str, env: str) -> None:
    """Take ACTOR's role away, as it was given."""
    asked.client.ask("DELETE", f"/access/{actor}", query={"site": site, "env": env})
    click.echo(f"{actor} has no role on {_where(site, env)} any more.", err=True)


@group.command("list")
@click.option("--site", default="", metavar="SITE", help="Who can change this one.")
@click.option(
    "--can", default="", metavar="ENV", help="With --site: who can change this environment, and how."
)
@as_json
@settings
def listing(asked: Settings, site: str, can: str, as_json: bool) -> None:
    """List who holds which role where; with --can, who can change production, and through what."""
    if can:
        _who_can(asked, site, can, as_json)
        return
    found = asked.client.every("/access", site=site)
    if as_json:
        screen.facts(found)
        return
    rows = [(one["actor"], one["role"], one["site"], one["env"]) for one in found]
    screen.table(rows, head=("ACTOR", "ROLE", "SITE", "ENV"), empty="Nobody but the server's own user.")


def _who_can(asked: Settings, site: str, env: str, as_json: bool) -> None:
    if site in ("", EVERY_SITE):
        raise Invalid("An environment is one of a site.", "Say which: --site SITE")
    found = asked.client.get(f"/sites/{site}/access/{env}")
    if as_json:
        screen.facts(found)
        return
    rows = []
    for one in found["people"]:
        through = [f"{grant['role']} of {_where(grant['site'], grant['env'])}" for grant in one["grants"]]
        means = [by["id"] for by in (*one["tokens"], *one["keys"])]
        used = max((by["used_at"] or "" for by in (*one["tokens"], *one["keys"])), default="")
        rows.append(
            (one["actor"], one["role"], "; ".join(through), ", ".join(means), screen.when(used or None))
        )
    head = ("ACTOR", "ROLE", "GRANTED", "WITH", "LAST USED")
    screen.table(rows, head=head, empty="Nobody but the server's own user.")
    click.echo(f"{found['env']} needs {found['approvals']} approvals of others.", err=True)


def _where(site: str, env: str) -> str:
    return f"{env} of " * bool(env) + ("every site" if site == EVERY_SITE else site)


@click.group()
def token() -> None:
    """Tokens for git over HTTP and for the API."""


@token.command("create")
@click.argument("actor")
@click.option("--expires", default="", metavar="TIME", help="Such as 90d; default: never.")
@_limits
@as_json
@settings
def create_token(
    asked: Settings, actor: str, expires: str, sites: tuple[str, ...], role: str, as_json: bool
) -> None:
    """Make a token for ACTOR. It is shown this once and never kept."""
    body = {"actor": actor, "expires": expires, "sites": sites, "role": role}
    made = asked.client.ask("POST", "/tokens", body)
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
    found = asked.client.every("/tokens")
    if as_json:
        screen.facts(found)
        return
    rows = [
        (one["id"], one["actor"], "revoked" if one["revoked_at"] else screen.when(one["expires_at"]),
         screen.when(one["used_at"]), _limit(one))
        for one in found
    ]  # fmt: skip
    screen.table(
        rows,
        head=("TOKEN", "ACTOR", "UNTIL", "LAST USED", "LIMITED TO"),
        empty="No tokens: gitdeploy token create ACTOR",
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
@_limits
@as_json
@settings
def add_key(
    asked: Settings, actor: str, file: TextIO, sites: tuple[str, ...], role: str, as_json: bool
) -> None:
    """Let the public key in FILE (default: standard input) stand for ACTOR."""
    body = {"actor": actor, "key": file.read().strip(), "sites": sites, "role": role}
    made = asked.client.ask("POST", "/keys", body)
    if as_json:
        screen.facts(made)
    else:
        click.echo(f"{made['id']} for {actor}", err=True)


@key.command("list")
@as_json
@settings
def list_keys(asked: Settings, as_json: bool) -> None:
    """List the keys."""
    found = asked.client.every("/keys")
    if as_json:
        screen.facts(found)
        return
    rows = [
        (one["id"], one["actor"], one["kind"], one["comment"], screen.when(one["used_at"]), _limit(one))
        for one in found
    ]
    screen.table(
        rows,
        head=("KEY", "ACTOR", "KIND", "COMMENT", "LAST USED", "LIMITED TO"),
        empty="No keys: gitdeploy key add ACTOR FILE",
    )


@key.command("remove")
@click.argument("id")
@settings
def remove_key(asked: Settings, id: str) -> None:
    """Forget a key."""
    asked.client.ask("DELETE", f"/keys/{id}")
    click.echo(f"{id} is removed.", err=True)


COMMANDS = (group, token, key)
