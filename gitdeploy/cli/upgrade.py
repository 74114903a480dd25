from __future__ import annotations

from pathlib import Path

import click

from gitdeploy.cli import screen
from gitdeploy.cli.asking import Settings, as_json, settings


@click.command()
@click.option(
    "--from", "source", type=click.Path(exists=True, path_type=Path), metavar="PATH",
    help="A checkout or a wheel of the new version; else the checkout that this one was installed from.",
)  # fmt: skip
@click.option("--check", "only_check", is_flag=True, help="Only say what would happen.")
@click.option("--self-check", type=click.Path(path_type=Path), hidden=True, help="Open a copy of the ledger.")
@as_json
@settings
def upgrade(
    asked: Settings, source: Path | None, only_check: bool, self_check: Path | None, as_json: bool
) -> None:
    """Put another version of gitdeploy in the place of this one; sites are served all the while.

    It is built beside, and checked with a copy of the ledger. Then the server is restarted with it, and has to be
    healthy: else this version is put back, with its ledger. Killed, it is finished or undone by doing it again.
    """
    from gitdeploy.web import upgrade as upgrading

    if self_check:
        screen.facts(upgrading.self_check(asked.home, self_check))
        return
    if only_check:
        found = upgrading.plan(asked.home, source)
        if as_json:
            screen.facts(found)
            return
        click.echo(f"{found['from']} -> {found['to']}, from {found['source']} into {found['beside']}")
        click.echo(
            f"{found['link']} is renamed to lead there; the server is restarted by {found['restarted_by']}"
        )
        if found["unfinished"]:
            click.echo("An upgrade was interrupted: it is ended first.")
        return
    done = upgrading.upgrade(asked.home, source, lambda data: screen.prose(data.decode()))
    if as_json:
        screen.facts(done)


COMMANDS = (upgrade,)
