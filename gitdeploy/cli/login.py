from __future__ import annotations

import contextlib
import socket
import time

import click

from gitdeploy.cli import credentials
from gitdeploy.cli.asking import Settings, settings
from gitdeploy.cli.client import Client
from gitdeploy.errors import Failed, NotFound, Refused

_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


@click.command()
@click.argument("url")
@click.option(
    "--site", "sites", multiple=True, metavar="SITE", help="Good for this site alone; again for more."
)
@click.option("--role", default="", metavar="ROLE", help="Good for no more than this role.")
@click.option("--expires", default="90d", show_default=True, metavar="TIME", help="How long it is good for.")
@settings
def login(asked: Settings, url: str, sites: tuple[str, ...], role: str, expires: str) -> None:
    """Sign in to the server at URL: it shows a code, and you allow it on the dashboard.

    From then on `gitdeploy --url URL …` (or GITDEPLOY_URL) needs no token. It is kept where only you can read it.
    """
    where = credentials.address(url)
    if where.startswith("http://") and not where.removeprefix("http://").startswith(_LOOPBACK):
        click.echo("Careful: without https others on the way can read the token.", err=True)
    client = Client(asked.home, where)
    body = {"host": socket.gethostname()[:80], "sites": sites, "role": role, "expires": expires}
    begun = client.ask("POST", "/login", body)
    click.echo(f"Open  {where}/login", err=True)
    click.echo(f"Code  {begun['user_code']}    (good for {begun['expires_in'] // 60} minutes)", err=True)
    click.echo("Waiting until it is allowed …", err=True)
    given = _wait(client, begun["device_code"], begun["interval"], begun["expires_in"])
    old = credentials.read(where)
    path = credentials.keep(
        where, {name: given[name] or "" for name in ("token", "id", "actor", "expires_at")}
    )
    if old.get("token"):
        with contextlib.suppress(Failed, Refused, NotFound):
            Client(asked.home, where, old["token"]).ask("DELETE", "/login")
    click.echo(f"{given['actor']} is signed in to {where} until {given['expires_at']} ({path}).", err=True)


@click.command()
@click.argument("url")
@settings
def logout(asked: Settings, url: str) -> None:
    """Sign out from the server at URL: its token counts no more, and is forgotten here."""
    where = credentials.address(url)
    kept = credentials.read(where)
    if not kept.get("token"):
        raise NotFound(f"Nobody is signed in to {where}.", f"Sign in: gitdeploy login {where}")
    with contextlib.suppress(Refused):  # it counts no more already
        Client(asked.home, where, kept["token"]).ask("DELETE", "/login")
    credentials.forget(where)
    click.echo(f"{kept.get('actor', '')} is signed out from {where}.", err=True)


def _wait(client: Client, secret: str, interval: float, seconds: float) -> dict[str, str | None]:
    """The token, once somebody has allowed it. Raises Refused when they say no, NotFound when nobody did in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(interval)
        told: dict[str, str | None] = client.ask("POST", "/login/token", {"device_code": secret})
        if told["state"] == "allowed":
            return told
        interval = float(told["interval"] or interval)
    raise NotFound("Nobody has allowed it in time.", "Begin again: gitdeploy login")


COMMANDS = (login, logout)
