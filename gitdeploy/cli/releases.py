from __future__ import annotations

import sys
from pathlib import Path

import click

from gitdeploy.cli import screen
from gitdeploy.cli.asking import Settings, as_json, env, rehearsing, settings, site, utc


@click.command("releases")
@site
@click.option("--env", default="", metavar="ENV", help="Only this environment; default: all of them.")
@click.option("--limit", default=50, show_default=True, help="At most so many.")
@click.option("--all", "everything", is_flag=True, help="Also releases that failed before they served.")
@as_json
@settings
def listing(asked: Settings, site: str, env: str, limit: int, everything: bool, as_json: bool) -> None:
    """What SITE has served, newest first: the history, and the menu to roll back from."""
    found = asked.client.every(f"/sites/{site}/releases", env=env, most=limit, all=everything or "")
    if as_json:
        screen.facts(found)
        return
    rows = [
        (one["release"], one["env"], one["state"] + (f" ({one['mark']})" if one["mark"] else ""), one["kind"],
         one["commit"][:7], one["actor"], screen.when(one["live_at"]), one["subject"])
        for one in found
    ]  # fmt: skip
    head = ("RELEASE", "ENV", "STATE", "KIND", "COMMIT", "BY", "LIVE SINCE", "SUBJECT")
    screen.table(rows, head=head, empty=f"{site} has no releases yet: git push managed main")


@click.command()
@site
@env
@click.option(
    "--at",
    default="",
    metavar="TIME",
    help="What was live then: 2026-11-01T02:00+01:00, or without zone your own.",
)
@as_json
@settings
def live(asked: Settings, site: str, env: str, at: str, as_json: bool) -> None:
    """What SITE serves now, or served at a TIME."""
    found = asked.client.get(f"/sites/{site}/live", env=env, at=utc(at))
    if as_json:
        screen.facts(found)
    elif found is None:
        click.echo(f"{env} of {site} served nothing" + (f" at {at}." if at else " yet."), err=True)
    else:
        click.echo(f"{found['release']}  {found['commit'][:7]}  {found['subject']}")
        click.echo(
            f"{found['kind']} by {found['actor']}, live since {screen.when(found['live_at'])}", err=True
        )


def _order(verb: str, says: str, default: str | None = None) -> click.Command:
    """`promote`, `rollback` and `redeploy` differ in their verb alone."""

    @site
    @click.argument("target", metavar="TARGET", required=default is None, default=default)
    @env
    @click.option("--reason", default="", help="Why; kept with the release.")
    @click.option("--snapshot", is_flag=True, help="Capture and prove databases and files first.")
    @click.option("--at", default="", metavar="TIME", help="Check it now and do it then: 2026-11-01T02:00.")
    @click.option("--dry-run", is_flag=True, help="Check everything and change nothing.")
    @rehearsing
    @click.option("--yes", "-y", is_flag=True, help="Do not ask.")
    @as_json
    @settings
    def order(
        asked: Settings,
        /,
        site: str,
        target: str,
        env: str,
        reason: str,
        snapshot: bool,
        at: str,
        dry_run: bool,
        rehearse: bool,
        rehearsal: str,
        yes: bool,
        as_json: bool,
        **more: object,
    ) -> None:
        if not (yes or dry_run or rehearse or as_json) and sys.stdin.isatty():
            click.confirm(f"{verb} {env} of {site} to {target}?", abort=True, err=True)
        body = {
            "target": target, "env": env, "reason": reason, "snapshot": snapshot, "at": utc(at),
            "dry_run": dry_run, "rehearse": rehearse, "rehearsal": rehearsal, **more
        }  # fmt: skip
        made = asked.client.follow(f"/sites/{site}/{verb}", body, screen.prose)
        if as_json:
            screen.facts(made)

    if verb != "rollback":
        order = click.option(
            "--override-freeze", is_flag=True, help="Although it is frozen; for operators, with --reason."
        )(order)
    else:
        order = click.option(
            "--force-schema",
            is_flag=True,
            help="Also where the code will not find its database as it left it; needs --reason.",
        )(order)
        order = click.option(
            "--config",
            type=click.Choice(["now", "then"]),
            default="now",
            show_default=True,
            help="The configuration of today, or the one that the release ran with.",
        )(order)
    return click.command(verb, help=says)(order)


@click.command()
@site
@click.argument("target", required=False, default="")
@env
@click.option(
    "--pictures", metavar="DIR", type=click.Path(path_type=Path), default=None,
    help="Also take pictures of what is live and of TARGET, put them into DIR, and a page that shows them.",
)  # fmt: skip
@as_json
@settings
def diff(asked: Settings, site: str, target: str, env: str, pictures: Path | None, as_json: bool) -> None:
    """What going live with TARGET (default: the newest build) would change."""
    found = asked.client.get(f"/sites/{site}/diff", target=target, env=env)
    if pictures is not None:
        from gitdeploy.cli import picture_book

        found["pictures"] = picture_book.take(asked.client, site, found["build"], env, pictures)
    if as_json:
        screen.facts(found)
        return
    for mark, kind in (("A", "added"), ("M", "changed"), ("D", "removed")):
        for path in found[kind]:
            click.echo(f"{mark} {path}")
    for file, one in found["rules"].items():
        for mark, kind in (("+", "added"), ("-", "removed")):
            for line in one[kind]:
                click.echo(f"{file}: {mark} {line}")
    for sentence in found["settings"]:
        click.echo(sentence)
    for kind, names in found["config"].items():
        for name in names:
            click.echo(f"configuration: {name} {kind}")
    for name, one in found["databases"].items():
        for change in one["changes"]:
            click.echo(f"{name}: {change}")
    counts = ", ".join(f"{len(found[kind])} {kind}" for kind in ("added", "changed", "removed"))
    click.echo(f"{found['live'] or 'nothing'} -> {found['build']}: {counts}", err=True)


@click.command()
@site
@click.argument("release", required=False, default="")
@env
@as_json
@settings
def verify(asked: Settings, site: str, release: str, env: str, as_json: bool) -> None:
    """Read every byte of RELEASE (default: what is live) and check signature and provenance."""
    query: dict[str, object] = {"release": release, "env": env}
    found = asked.client.follow(f"/sites/{site}/verify", None, screen.prose, query=query)
    if as_json:
        screen.facts(found)


@click.command()
@site
@click.argument("release")
@click.option("--off", is_flag=True, help="Let its bytes go again.")
@settings
def pin(asked: Settings, site: str, release: str, off: bool) -> None:
    """Keep RELEASE whatever retention says."""
    asked.client.ask("POST", f"/sites/{site}/releases/{release}/pin", query={"pinned": not off or "false"})


@click.group()
def schedule() -> None:
    """Promotions and rollbacks that wait for their hour."""


@schedule.command("list")
@site
@click.option("--all", "everything", is_flag=True, help="Also those that ended, and how.")
@as_json
@settings
def schedules(asked: Settings, site: str, everything: bool, as_json: bool) -> None:
    """What of SITE waits for its hour, the next one first."""
    found = asked.client.every(f"/sites/{site}/schedules", all=everything or "")
    if as_json:
        screen.facts(found)
        return
    rows = [
        (one["id"], screen.when(one["at"]), one["env"], one["verb"], one["target"], one["actor"], one["state"],
         one["said"] or "")
        for one in found
    ]  # fmt: skip
    head = ("ID", "AT", "ENV", "ORDER", "TARGET", "BY", "STATE", "")
    screen.table(rows, head=head, empty="Nothing is scheduled: gitdeploy promote SITE TARGET --at TIME")


@schedule.command()
@site
@click.argument("id")
@settings
def cancel(asked: Settings, site: str, id: str) -> None:
    """Take back what waits for its hour; ID may be an ending of it."""
    ended = asked.client.ask("POST", f"/sites/{site}/schedules/{id}/cancel")
    click.echo(f"{ended['verb']} {ended['target']} at {ended['at']} is canceled.", err=True)


COMMANDS = (
    listing,
    live,
    _order(
        "promote", "TARGET (a build, branch, tag or commit) goes live as it was built and reviewed.", None
    ),
    _order(
        "rollback",
        "A release that served before is live again; TARGET: r41, previous, a tag, a commit.",
        "previous",
    ),
    _order("redeploy", "A fresh build of the same commit goes live.", "live"),
    schedule,
    diff,
    verify,
    pin,
)
