"""The command line: parses, asks the daemon, presents. Every command says `--help`."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from gitdeploy import __version__
from gitdeploy.cli.asking import Settings
from gitdeploy.errors import GitdeployError

EPILOG = """\b
Exit codes: 0 done, 1 it failed, 2 wrong usage, 3 no such thing, 4 busy or locked,
5 refused by policy or role, 6 not proven (signature, digest).
"""


NOUNS = {
    "server": "serve edge doctor gc fsck recover init docs completion",
    "demo": "demo",
    "dev": "dev",
    "sites": "site lock unlock maintenance allow",
    "domains": "domain",
    "releases": "releases live promote rollback redeploy diff verify pin schedule",
    "rehearsals": "rehearsal",
    "snapshots": "snapshot",
    "moves": "clone moves",
    "cutovers": "cutover",
    "approvals": "approvals approve",
    "freezes": "freeze",
    "incident": "incident",
    "builds": "builds build previews preview",
    "export": "export",
    "processes": "ps scale run console logs",
    "access": "access token key",
    "login": "login logout",
    "ssh": "ssh",
    "config": "config",
    "webhooks": "webhook",
    "events": "events",
    "builders": "builder build-for",
    "backups": "backup",
    "standby": "standby",
    "upgrade": "upgrade",
}
"""The modules, each with its commands. Only that of the command that is run is imported."""
_MODULES = {command: module for module, commands in NOUNS.items() for command in commands.split()}


class Commands(click.Group):
    """Prints what went wrong in one place: the sentence, then the next step."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _MODULES:
            return None
        found: tuple[click.Command, ...] = import_module(f"gitdeploy.cli.{_MODULES[cmd_name]}").COMMANDS
        return next(one for one in found if one.name == cmd_name)

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
