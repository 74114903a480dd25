"""The command line: parses, asks the daemon, presents. Every command says `--help`."""

from __future__ import annotations

import sys

import click

from gitdeploy import __version__
from gitdeploy.cli import (
    access,
    approvals,
    backups,
    builds,
    config,
    cutovers,
    demo,
    dev,
    domains,
    events,
    freezes,
    incident,
    login,
    moves,
    processes,
    rehearsals,
    releases,
    server,
    sites,
    snapshots,
    ssh,
    webhooks,
)
from gitdeploy.cli.asking import Settings
from gitdeploy.errors import GitdeployError

EPILOG = """\b
Exit codes: 0 done, 1 it failed, 2 wrong usage, 3 no such thing, 4 busy or locked,
5 refused by policy or role, 6 not proven (signature, digest).
"""


class Commands(click.Group):
    """Prints what went wrong in one place: the sentence, then the next step."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except GitdeployError as error:
            click.echo(f"{click.style('Error:', fg='red')} {error.message}", err=True)
            if error.hint:
                click.echo(f"       {error.hint}", err=True)
            sys.exit(error.exit_code)
        except BrokenPipeError:
            sys.stderr.close()
            sys.exit(1)


@click.group(cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gitdeploy")
@click.option("--home", envvar="GITDEPLOY_HOME", metavar="DIR", help="Where gitdeploy keeps everything.")
@click.option("--url", envvar="GITDEPLOY_URL", default="", metavar="URL", help="Talk to a server elsewhere.")
@click.option(
    "--token", envvar="GITDEPLOY_TOKEN", default="", metavar="TOKEN", help="With --url: who you are."
)
@click.pass_context
def main(ctx: click.Context, home: str | None, url: str, token: str) -> None:
    """A git server on your own machine: push to build, promote the reviewed bytes, roll back with a push.

    \b
      git push managed feature/x            builds it and shows a preview
      git push managed main                 goes live once it is healthy
      git push managed HEAD:rollback/r41    r41 is live again
    """
    ctx.obj = Settings.of(home, url, token)


NOUNS = (
    server,
    demo,
    dev,
    sites,
    domains,
    releases,
    rehearsals,
    snapshots,
    moves,
    cutovers,
    approvals,
    freezes,
    incident,
    builds,
    processes,
    access,
    login,
    ssh,
    config,
    webhooks,
    events,
    backups,
)
for noun in NOUNS:
    for command in noun.COMMANDS:
        main.add_command(command)
