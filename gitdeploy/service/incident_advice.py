"""Something is broken in production: what changed last, and the one command to run next.

    was it the last deploy?      yes: back to what was before it
    no; is a good tag known?     yes: that tag
    no                           back step by step

The lightest way that fits. What no rollback takes back is said beside it: what a release command did to data.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from gitdeploy.domain.app import RELEASE
from gitdeploy.domain.config import BUILD, difference
from gitdeploy.domain.diff import Names
from gitdeploy.domain.digest import Digest
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.release import BAD, FORWARD, Release
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.domain.units import roughly
from gitdeploy.errors import GitdeployError, NotFound
from gitdeploy.service import config as configs
from gitdeploy.service import history, serving
from gitdeploy.service.context import Context
from gitdeploy.service.journal import live_release

RECENT = 24 * 3600
"""Seconds. What a deploy breaks is mostly seen within a day of it."""


class Reconfigured(Names):
    """What became of a scope's variables."""

    version: str
    actor: str
    at: str


@dataclass(frozen=True)
class Advice:
    """`seconds` is how long `live` has been live; `before` served until then. `last_change` is deploy, configuration
    or rollback. `last_good` is where `command` goes, and `tag` its tag. `config` is what changed since `before` went
    live: `{scope: {version, actor, at, added, changed, removed}}`, names only.
    """

    live: Release
    seconds: float
    before: Release | None
    last_change: str
    recent: bool
    last_good: Release | None
    tag: str
    config: dict[str, Reconfigured]
    release_command: str
    incident: int | None
    answer: str
    command: str


def advise(ctx: Context, actor: Actor, site: Site) -> Advice:
    actor.need(Role.DEVELOPER, site.name, "see what changed")
    live = live_release(ctx, site.name, PRODUCTION)
    if live is None:
        raise NotFound(f"{site.name} serves nothing in production yet.", "Deploy it: git push managed main")
    before = ctx.ledger.releases.one(
        site=site.name, env=PRODUCTION, sql="live_at IS NOT NULL AND number < ?", given=(live.number,),
        order="number DESC",
    )  # fmt: skip
    seconds = (datetime.now(UTC) - datetime.fromisoformat(live.live_at or "")).total_seconds()
    change = {"config": "configuration", "rollback": "rollback"}.get(live.kind, "deploy")
    recent = seconds < RECENT
    tagged, tag = _last_tagged(ctx, site, live)
    previous = history.previous(ctx, site, PRODUCTION)
    answer, command, goal = _way_back(live, before, roughly(seconds), recent, previous, tagged, tag)
    open_one = ctx.ledger.incidents.one(site=site.name, state="open", order="number DESC")
    return Advice(
        live, seconds, before, change, recent, goal, tag if goal is tagged else "",
        _config_since(ctx, site, before), _release_command(ctx, live), open_one.number if open_one else None,
        answer, command,
    )  # fmt: skip


def _way_back(
    live: Release,
    before: Release | None,
    age: str,
    recent: bool,
    previous: Release | None,
    tagged: Release | None,
    tag: str,
) -> tuple[str, str, Release | None]:
    """The answer, the command, and the release that it goes to."""
    back = "git push managed HEAD:rollback/"
    if live.kind == "config" and before is not None:
        return (
            f"The last change was the configuration, {age} ago; the files are those of {before.name}.",
            f"git push -o config=then managed HEAD:rollback/{before.name}",
            before,
        )
    if live.kind == "rollback":
        said = (
            f"{live.name} went back to r{live.origin} {age} ago. If that is broken too, the cause is older."
        )
    elif recent:
        said = f"It was probably the last deploy: {live.name} went live {age} ago."
    else:
        said = f"It was probably not the last deploy: {live.name} has been live for {age}."
    if previous is not None and live.kind != "rollback" and recent:
        return said, f"{back}previous", previous
    if tagged is not None:
        return said, f"{back}{tag}", tagged
    if previous is not None:
        return said, f"{back}previous", previous
    return f"{said} There is nothing good to go back to: mend it and push.", "git push managed main", None


def _last_tagged(ctx: Context, site: Site, live: Release) -> tuple[Release | None, str]:
    """The newest good release before what is live whose commit has a tag."""
    tags = ctx.repository(site.name).tags()
    found = ctx.ledger.releases.one(
        site=site.name, env=PRODUCTION, order="+number DESC",  # by commit: neither through all numbers nor all times
        sql="+live_at IS NOT NULL AND origin < ? AND mark != ? AND artifact != ?"
        ' AND "commit" IN (SELECT value FROM json_each(?))',
        given=(live.origin, BAD, live.artifact, json.dumps(list(tags))),
    )  # fmt: skip
    return (found, tags[found.commit]) if found else (None, "")


def _config_since(ctx: Context, site: Site, before: Release | None) -> dict[str, Reconfigured]:
    """What of the configuration changed after the release before this one had gone live."""
    found: dict[str, Reconfigured] = {}
    since = before.live_at or "" if before is not None else "~"
    for scope in (PRODUCTION, BUILD):
        newest = configs.newest(ctx, site.name, scope)
        if newest is None or newest.created_at <= since:
            continue
        versions = ctx.ledger.configs.where(site=site.name, env=scope)
        then = max((one.number for one in versions if one.created_at <= since), default=0)
        names = difference(configs.at(ctx, site.name, scope, then), configs.values(ctx, newest))
        found[scope] = {
            "version": f"c{newest.number}",
            "actor": newest.actor,
            "at": newest.created_at,
            **names,
        }
    return found


def _release_command(ctx: Context, live: Release) -> str:
    """What the live release ran before it went live, such as a migration; "" for none."""
    build = ctx.ledger.builds.get(live.build)
    if live.serves != "app" or live.kind not in FORWARD or build is None:
        return ""
    try:
        signed = ctx.store.stated(Digest.parse(live.artifact), serving.origin(ctx, build).id)
    except GitdeployError:
        return ""
    return str(signed.settings.get("processes", {}).get(RELEASE, {}).get("command", ""))
