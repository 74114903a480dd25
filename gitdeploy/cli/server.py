from __future__ import annotations

import logging
import sys
from pathlib import Path

import click

from gitdeploy import resources
from gitdeploy.cli import incident, screen
from gitdeploy.cli.asking import Settings, as_json, settings
from gitdeploy.errors import Busy, Invalid


@click.command()
@click.option(
    "--home", "own_home", metavar="DIR", help="Where to keep everything (as the option before the command)."
)
@click.option(
    "--listen", default="127.0.0.1:8470", show_default=True, help="Where git and the API are served."
)
@click.option("--edge", default="127.0.0.1:8480", show_default=True, help="Where the sites are served.")
@click.option(
    "--edge-driver", type=click.Choice(["auto", "embedded", "caddy"]), default="auto", show_default=True,
    help="What serves the sites; auto: Caddy where it is installed.",
)  # fmt: skip
@click.option(
    "--edge-tls",
    default="",
    metavar="HOST:PORT",
    help="Where the sites are served over HTTPS, by Caddy; if at all.",
)
@settings
def serve(
    asked: Settings, own_home: str | None, listen: str, edge: str, edge_driver: str, edge_tls: str
) -> None:
    """Run the server; prints `ready` once pushes and requests are served.

    On SIGTERM it finishes what is under way and exits. The sites go on being served by the edge, a process of
    its own: stop that with `gitdeploy edge stop`.
    """
    import gc as collector

    collector.disable()  # all that is imported here stays: looking for rubbish in it takes a sixth of the start
    from gitdeploy.web.serve import Wish
    from gitdeploy.web.serve import serve as run

    collector.freeze()
    collector.enable()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")

    def ready(git: str, sites: str, setup: str) -> None:
        click.echo(f"git and API  {git}", err=True)
        click.echo(f"sites        {sites}", err=True)
        if setup:
            click.echo(f"first admin  {setup}", err=True)
        click.echo("ready", err=True)

    home = Path(own_home).expanduser() if own_home else asked.home
    run(Wish(home, listen, edge, edge_driver, edge_tls), ready)  # type: ignore[arg-type]


@click.group()
def edge() -> None:
    """The process that serves the sites; it outlives the server."""


@edge.command("status")
@as_json
@settings
def edge_status(asked: Settings, as_json: bool) -> None:
    """Say whether the edge runs, and where it listens."""
    from gitdeploy.web import edge

    found = edge.status(asked.home)
    if as_json:
        screen.facts(found)
    elif found["running"]:
        click.echo(f"{found['driver']} edge at {found['listen']}, pids {', '.join(map(str, found['pids']))}")
    else:
        click.echo("No edge is running: gitdeploy serve", err=True)
    sys.exit(0 if found["running"] else 1)


@edge.command("stop")
@settings
def edge_stop(asked: Settings) -> None:
    """Stop serving the sites; requests under way are finished."""
    from gitdeploy.web import edge

    edge.stop(asked.home)
    click.echo("The edge is stopped.", err=True)


@click.command()
@as_json
@settings
def recover(asked: Settings, as_json: bool) -> None:
    """Rebuild a lost ledger from the repositories, the store and what is being served.

    Run it while the server is stopped and with the damaged ledger.db moved away.
    """
    from gitdeploy.web import offline

    found = offline.recover(asked.home, lambda data: screen.prose(data.decode()))
    if as_json:
        screen.facts(found)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what lets SHELL complete commands: eval "$(gitdeploy completion bash)"."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    main = click.get_current_context().find_root().command
    click.echo(kind(main, {}, "gitdeploy", "_GITDEPLOY_COMPLETE").source())


@click.command()
@click.argument("site", required=False, default="")
@click.option(
    "--incident", "is_broken", is_flag=True, help="SITE is broken: what changed, and what to do now."
)
@as_json
@settings
def doctor(asked: Settings, site: str, is_broken: bool, as_json: bool) -> None:
    """Examine the server: each finding with what to do about it. With SITE and --incident: what is wrong there."""
    if bool(site) != is_broken:
        raise Invalid("SITE and --incident go together.", "Say: gitdeploy doctor SITE --incident")
    if site:
        incident.advise(asked, site, as_json)
        return
    found = asked.client.get("/doctor")
    if as_json:
        screen.facts(found)
    else:
        for one in found:
            click.echo(f"{one['level']:8} {one['name']:10} {one['said']}")
            if one["hint"]:
                click.echo(f"{'':19} {one['hint']}")
    sys.exit(1 if any(one["level"] == "problem" for one in found) else 0)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be kept.")
@as_json
@settings
def gc(asked: Settings, dry_run: bool, as_json: bool) -> None:
    """Remove stored files that nothing needs; never what is live, pinned, last-good or under way."""
    found = asked.client.follow("/gc", None, screen.prose, query={"dry_run": dry_run})
    if as_json:
        screen.facts(found)


@click.command()
@as_json
@settings
def fsck(asked: Settings, as_json: bool) -> None:
    """Read everything that is stored and name what is damaged."""
    found = asked.client.follow("/fsck", None, screen.prose)
    if as_json:
        screen.facts(found)
    sys.exit(6 if found["problems"] else 0)


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
def init(folder: Path) -> None:
    """Write a commented gitdeploy.toml into FOLDER; every line of it is optional."""
    path = folder / "gitdeploy.toml"
    if path.exists():
        raise Busy(f"{path} exists already.", "See: gitdeploy docs")
    path.write_text((resources.folder("templates") / "gitdeploy.toml").read_text("utf-8"), "utf-8")
    click.echo(f"wrote {path}", err=True)


@click.command()
def docs() -> None:
    """Print the commented gitdeploy.toml: every setting with its default."""
    click.echo((resources.folder("templates") / "gitdeploy.toml").read_text("utf-8"), nl=False)


COMMANDS = (serve, edge, doctor, gc, fsck, recover, init, docs, completion)
