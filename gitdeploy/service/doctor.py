"""Is everything as it should be? Each finding says what, how bad, and what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from typing_extensions import TypedDict

from gitdeploy.build import sandbox
from gitdeploy.domain.digest import Digest
from gitdeploy.errors import GitdeployError
from gitdeploy.git import repository as repositories
from gitdeploy.runtime.apps import driver as apps
from gitdeploy.runtime.apps import unit
from gitdeploy.runtime.edge import driver
from gitdeploy.service import doctor_builders, doctor_data, doctor_swarm, slot
from gitdeploy.service.context import Context
from gitdeploy.service.finding import Finding
from gitdeploy.service.journal import live_release, unsettled
from gitdeploy.service.teller import Teller
from gitdeploy.store import certificates

_SOON = 21  # days before the end of a certificate


def examine(ctx: Context, *, asked: bool = False) -> list[Finding]:
    """`asked`: by somebody who waits for it, so what costs other machines something is looked at too."""
    found: list[Finding] = []
    for check in (
        _git,
        _ledger,
        _events,
        _disk,
        _edge,
        _isolation,
        _confinement,
        _units,
        _certificates,
        _hooks,
        _switches,
        doctor_data.backups,
        doctor_data.standby,
        _webhooks,
        doctor_builders.builders,
        doctor_swarm.engine,
        doctor_swarm.registry,
        doctor_data.snapshots,
        _apps,
        _live,
        *((doctor_swarm.disks,) if asked else ()),
    ):
        found.extend(_tried(check, ctx))
    return found


class Checked(TypedDict):
    problems: list[str]


def check_store(ctx: Context, teller: Teller) -> Checked:
    """Read everything in the store, and say what of it is damaged."""
    teller.step("reading everything in the store")
    problems = ctx.store.scrub()
    for problem in problems:
        teller.problem(str(problem))
    teller.step(f"{len(problems)} problems" if problems else "the store is whole")
    return {"problems": [str(problem) for problem in problems]}


def _tried(check: Callable[[Context], Iterator[Finding]], ctx: Context) -> list[Finding]:
    try:
        return list(check(ctx))
    except GitdeployError as error:
        return [Finding(check.__name__.strip("_"), "problem", error.message, error.hint)]


def _git(_: Context) -> Iterator[Finding]:
    version = repositories.git_version()
    text = ".".join(map(str, version))
    if version < repositories.OLDEST_GIT:
        yield Finding("git", "problem", f"git {text} is too old.", "Install git 2.29 or newer.")
    else:
        yield Finding("git", "ok", f"git {text}")


def _ledger(ctx: Context) -> Iterator[Finding]:
    verdict = ctx.ledger.check()
    if verdict == "ok":
        yield Finding("ledger", "ok", "the ledger is whole")
    else:
        yield Finding("ledger", "problem", f"The ledger is damaged: {verdict}.", "Run: gitdeploy recover")


def _events(ctx: Context) -> Iterator[Finding]:
    chain = ctx.ledger.events.verify()
    if chain.broken is None:
        yield Finding("events", "ok", "the audit log is unbroken")
    else:
        yield Finding(
            "events",
            "problem",
            f"The audit log is broken at {chain.broken}: {chain.why}.",
            "Compare with a backup.",
        )


def _disk(ctx: Context) -> Iterator[Finding]:
    usage = shutil.disk_usage(ctx.home.root)
    free = 100 * usage.free / usage.total
    if free < ctx.server.min_free:
        yield Finding(
            "disk", "problem", f"{free:.1f} % of the disk is free; pushes are refused.", "gitdeploy gc"
        )
    elif free < 2 * ctx.server.min_free:
        yield Finding("disk", "warning", f"{free:.1f} % of the disk is free.", "Run: gitdeploy gc")
    else:
        yield Finding("disk", "ok", f"{free:.0f} % of the disk is free")


def _edge(ctx: Context) -> Iterator[Finding]:
    status = driver.status(ctx.home)
    if not status.running:
        yield Finding("edge", "problem", "No edge is running, so no site answers.", "Run: gitdeploy serve")
    else:
        yield Finding(
            "edge", "ok", f"{status.driver} edge at {status.listen}, pid {', '.join(map(str, status.pids))}"
        )


def _certificates(ctx: Context) -> Iterator[Finding]:
    """Those that the server gets by itself it renews by itself."""
    for host, end in certificates.ends(ctx.home.certificates).items():
        left = (end - datetime.now(UTC)).days
        if left < _SOON:
            yield Finding(
                "tls", "problem" if left < 0 else "warning",
                f"The certificate of {host} has ended." if left < 0 else f"That of {host} ends in {left} days.",
                f"Give a new one: gitdeploy domain add SITE {host} --cert FILE --key FILE",
            )  # fmt: skip


def _isolation(_: Context) -> Iterator[Finding]:
    level = sandbox.isolation()
    if level.level == sandbox.BUBBLEWRAP:
        yield Finding("builds", "ok", "builds are isolated by bubblewrap")
    else:
        yield Finding(
            "builds", "warning", f"Builds are not isolated: {level.why_not}", "See docs/building.md."
        )


def _confinement(_: Context) -> Iterator[Finding]:
    why = apps.why_unconfined()
    if why:
        said = f"Programs of apps are not confined, and can read what their user can: {why}"
        yield Finding("confinement", "warning", said, "See docs/apps.md.")
    else:
        yield Finding("confinement", "ok", "programs of apps are confined by bubblewrap")


def _units(_: Context) -> Iterator[Finding]:
    found = unit.manager()
    if found.confined:
        yield Finding("units", "ok", f"apps run as units of systemd ({found.kind})")
    elif found.runs:
        said = f"Apps run as units of systemd, which does not confine them: {found.why_not}."
        yield Finding("units", "note", said, found.hint)
    else:
        said = f"Apps run as processes of their own, not as units of systemd: {found.why_not}."
        yield Finding("units", "note", said, found.hint)


def _hooks(ctx: Context) -> Iterator[Finding]:
    missing = [
        name
        for name in ("pre-receive", "proc-receive", "post-receive")
        if not (ctx.home.hooks / name).exists()
    ]
    if missing:
        yield Finding("hooks", "problem", f"{', '.join(missing)} is missing.", "Restart: gitdeploy serve")
    else:
        yield Finding("hooks", "ok", "the hooks are in place")


def _switches(ctx: Context) -> Iterator[Finding]:
    for one in unsettled(ctx):
        yield Finding("switch", "note", f"{one.site} {one.env} is being switched to r{one.release}")


def _webhooks(ctx: Context) -> Iterator[Finding]:
    for one in ctx.ledger.webhooks.where(sql="failing_since IS NOT NULL"):
        yield Finding(
            "webhooks", "warning", f"{one.place} takes nothing since {one.failing_since}: {one.error}.",
            f"See: gitdeploy webhook deliveries {one.id}",
        )  # fmt: skip


def _apps(ctx: Context) -> Iterator[Finding]:
    """Every program of what is live runs and stays up."""
    for one in ctx.ledger.environments.where(kind=("production", "named")):
        for copy in slot.processes(ctx, one):
            if copy.state in ("crashed", "waiting"):
                yield Finding(
                    "apps", "problem", f"{copy.name} of {one.site} {one.name} {copy.last}, {copy.restarts} times.",
                    f"See: gitdeploy logs {one.site} --env {one.name} --process {copy.name}",
                )  # fmt: skip


def _live(ctx: Context) -> Iterator[Finding]:
    """Nobody has touched what is being served since it was proven."""
    for one in ctx.ledger.environments.where(kind=("production", "named")):
        live = live_release(ctx, one.site, one.name)
        if live is None:
            continue
        try:
            ctx.store.glance(Digest.parse(live.artifact))
        except GitdeployError as error:
            yield Finding(
                "live", "problem", f"{live.name}, live on {one.site} {one.name}: {error.message}",
                f"Build it again: gitdeploy redeploy {one.site}",
            )  # fmt: skip
