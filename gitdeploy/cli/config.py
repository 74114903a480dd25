from __future__ import annotations

import sys

import click

from gitdeploy.cli import screen
from gitdeploy.cli.asking import Settings, as_json, settings, site
from gitdeploy.domain.config import BUILD
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.errors import Invalid, NotFound


@click.group("config")
def group() -> None:
    """Variables and secrets that a site is built or run with; kept encrypted, every change a version."""


def where(command: click.decorators.FC) -> click.decorators.FC:
    command = click.option(
        "--env",
        default=PRODUCTION,
        show_default=True,
        metavar="ENV",
        help="The environment whose processes see it.",
    )(command)
    return click.option(
        "--build", is_flag=True, help="Builds see it, where [build] env names it; instead of an environment."
    )(command)


@group.command("set")
@site
@click.argument("variables", nargs=-1, required=True, metavar="NAME=VALUE…")
@where
@click.option("--secret", is_flag=True, help="Never show the values, and mask them in logs.")
@as_json
@settings
def put(
    asked: Settings, site: str, variables: tuple[str, ...], env: str, build: bool, secret: bool, as_json: bool
) -> None:
    """Set variables. A value of `-` is read from standard input, so that no secret is seen in a process list."""
    said = {}
    for one in variables:
        name, equals, value = one.partition("=")
        if not equals:
            raise Invalid(
                f"{one[:40]!r} is not NAME=VALUE.", "Write API_URL=https://…, or API_KEY=- to read it."
            )
        said[name] = {"value": sys.stdin.read().rstrip("\n") if value == "-" else value, "secret": secret}
    body = {"env": BUILD if build else env, "set": said}
    made = asked.client.follow(f"/sites/{site}/config", body, screen.prose, method="PATCH")
    if as_json:
        screen.facts(made)
    else:
        click.echo(f"{made['version']} of {made['env']}: {', '.join(said)}", err=True)


@group.command()
@site
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
@where
@as_json
@settings
def unset(asked: Settings, site: str, names: tuple[str, ...], env: str, build: bool, as_json: bool) -> None:
    """Remove variables."""
    body = {"env": BUILD if build else env, "unset": list(names)}
    made = asked.client.follow(f"/sites/{site}/config", body, screen.prose, method="PATCH")
    if as_json:
        screen.facts(made)
    else:
        click.echo(f"{made['version']} of {made['env']}: without {', '.join(names)}", err=True)


@group.command()
@site
@click.argument("name")
@where
@settings
def get(asked: Settings, site: str, name: str, env: str, build: bool) -> None:
    """Print one value; a secret's is never shown."""
    found = asked.client.get(f"/sites/{site}/config", env=BUILD if build else env)["variables"]
    if name not in found:
        raise NotFound(f"{name} is not set.", f"See: gitdeploy config list {site}")
    click.echo("(secret)" if found[name]["secret"] else found[name]["value"])


@group.command("list")
@site
@where
@as_json
@settings
def listing(asked: Settings, site: str, env: str, build: bool, as_json: bool) -> None:
    """List the variables, secrets without their values."""
    found = asked.client.get(f"/sites/{site}/config", env=BUILD if build else env)
    if as_json:
        screen.facts(found)
        return
    rows = [(name, "(secret)" if one["secret"] else one["value"]) for name, one in found["variables"].items()]
    screen.table(rows, head=("NAME", "VALUE"), empty=f"Nothing is set for {found['env']} of {site}.")


COMMANDS = (group,)
