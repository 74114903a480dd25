"""Can what was captured be relied on, and the server be brought back? Each snapshot is to be proven within minutes, and
copied where copies are set.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from gitdeploy.domain.snapshot import Snapshot
from gitdeploy.errors import GitdeployError
from gitdeploy.service.context import Context
from gitdeploy.service.finding import Finding
from gitdeploy.store import clock

_SOON = 900.0
"""Seconds after which a snapshot should be proven, and copied."""
_FAR = 60.0
"""Seconds that a standby may be behind."""


def snapshots(ctx: Context) -> Iterator[Finding]:
    found = ctx.ledger.snapshots.where(order="site, number")
    due = [one for one in found if one.created_at < clock.later(-_SOON)]
    damaged = [one for one in found if one.flaw]
    unproven = [one for one in due if not (one.verified or one.flaw)]
    for one in damaged:
        yield Finding(
            "snapshots", "problem", f"{one.name} of {one.env} of {one.site} failed its proof: {one.flaw}",
            f"Take another: gitdeploy snapshot take {one.site} --env {one.env}; try it again, or let it go: "
            f"gitdeploy snapshot verify {one.site} {one.name}, or remove.",
        )  # fmt: skip
    for site, mine in _by_site(unproven).items():
        yield Finding(
            "snapshots", "warning", f"{_named(mine)} of {site} not proven yet, the oldest since {mine[0].created_at}.",
            f"See why: gitdeploy snapshot verify {site} {mine[0].name}",
        )  # fmt: skip
    place = ctx.server.snapshots.copy
    waiting = [one for one in due if place and one.verified and not one.copied]
    for site, mine in _by_site(waiting).items():
        said = ctx.ledger.events.last(site, "snapshot.copy_failed")
        why = f": {said.data['error']}" if said is not None else "."
        yield Finding(
            "snapshots", "problem", f"{_named(mine)} of {site} not copied to {place}{why}",
            "Mend [snapshots] in server.toml, or the place: it is tried again every few seconds.",
        )  # fmt: skip
    if found and not (damaged or unproven or waiting):
        yield Finding("snapshots", "ok", f"{len(found)} snapshots, proven{' and copied' if place else ''}")


# Private


def _by_site(found: list[Snapshot]) -> dict[str, list[Snapshot]]:
    return {
        site: [one for one in found if one.site == site] for site in dict.fromkeys(one.site for one in found)
    }


def _named(mine: list[Snapshot]) -> str:
    if len(mine) == 1:
        return f"{mine[0].name} is"
    return f"{len(mine)} snapshots ({mine[0].name} to {mine[-1].name}) are"


def backups(ctx: Context) -> Iterator[Finding]:
    """When the whole server was last backed up."""
    said, newest = ctx.server.backup, ctx.ledger.backups.one(order="id DESC")
    if not said.to:
        yield Finding("backup", "note", "No backups are taken.", "Set [backup] to in server.toml.")
    elif newest is None or (said.seconds and newest.created_at < clock.later(-2 * said.seconds)):
        last = f"The last backup is of {newest.created_at}." if newest else "No backup has been taken yet."
        yield Finding(
            "backup", "warning", last, "Run: gitdeploy backup, which says what keeps it from being taken"
        )
    elif json.loads(newest.without):
        yield Finding(
            "backup", "warning", f"The last backup is without {newest.without}.", "Run: gitdeploy backup"
        )
    else:
        yield Finding("backup", "ok", f"the last backup is of {newest.created_at}")


def standby(ctx: Context) -> Iterator[Finding]:
    """Whether this server may act, and how far behind those are that could take its place."""
    if not ctx.server.standby.to:
        return
    try:
        ctx.lead.need()
    except GitdeployError as error:
        yield Finding("standby", "problem", error.message, error.hint)
        return
    if ctx.standbys.failure:
        said = f"Nothing reaches the standbys: {ctx.standbys.failure}"
        yield Finding("standby", "problem", said, "Mend [standby] in server.toml, or the place.")
    lags = ctx.standbys.lags()
    for host, lag in lags.items():
        if lag > _FAR:
            yield Finding(
                "standby", "problem", f"The standby {host} is {lag:.0f} s behind.",
                "Does it run? On it: gitdeploy standby status",
            )  # fmt: skip
        else:
            yield Finding("standby", "ok", f"the standby {host} is {lag:.1f} s behind")
    if not lags:
        said = "No standby follows this server."
        yield Finding("standby", "warning", said, "On another machine: gitdeploy standby follow")
