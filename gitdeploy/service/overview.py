"""Many sites or one at a glance: what is live, what is under way, what is wrong. Costs what is shown, however much
there is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gitdeploy.domain.build import OPEN
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.release import Release
from gitdeploy.domain.role import Actor
from gitdeploy.domain.site import Site
from gitdeploy.service import slot
from gitdeploy.service.context import Context
from gitdeploy.service.journal import live_release
from gitdeploy.service.site import listing

_ILL = ("crashed", "waiting")


@dataclass(frozen=True)
class Glance:
    """`live` is production's; `building` how many builds are queued or run; `incident` the number of the newest open
    one; `ill` the programs of production that keep ending.
    """

    site: Site
    live: Release | None
    building: int = 0
    incident: int | None = None
    ill: tuple[str, ...] = ()


def sites(ctx: Context, actor: Actor, *, find: str = "", after: str = "", limit: int = 50) -> list[Glance]:
    """The sites that `actor` may see, by name, beginning after the name `after`; `find` is a part of the name."""
    return _glances(ctx, listing(ctx, actor, find=find, after=after, limit=limit))


def site(ctx: Context, site: Site) -> Glance:
    return _glances(ctx, [site])[0]


def candidates(ctx: Context, site: Site, env: str, limit: int = 8) -> list[tuple[Environment, Release]]:
    """What other environments serve and `env` does not, the newest first: what was looked at, and could go live."""
    live = live_release(ctx, site.name, env)
    found = ctx.ledger.releases.where(
        state="live", site=site.name, order="number DESC", limit=limit, sql="env != ? AND artifact != ?",
        given=(env, live.artifact if live else ""),
    )  # fmt: skip
    names = tuple(one.env for one in found)
    envs = (
        {one.name: one for one in ctx.ledger.environments.where(site=site.name, name=names)} if names else {}
    )
    return [(envs[one.env], one) for one in found if one.env in envs]


def _glances(ctx: Context, found: list[Site]) -> list[Glance]:
    names = tuple(one.name for one in found)
    live = {one.site: one for one in _of(ctx, names)}
    building: dict[str, int] = {}
    for build in ctx.ledger.builds.where(state=OPEN, site=names) if names else ():
        building[build.site] = building.get(build.site, 0) + 1
    incidents = ctx.ledger.incidents.where(site=names, state="open", order="number") if names else ()
    newest = {one.site: one.number for one in incidents}
    return [
        Glance(one, live.get(one.name), building.get(one.name, 0), newest.get(one.name),
               _ill(ctx, live.get(one.name)))
        for one in found
    ]  # fmt: skip


def _of(ctx: Context, names: tuple[str, ...]) -> Iterable[Release]:
    return ctx.ledger.releases.where(state="live", site=names, env=PRODUCTION) if names else ()


def _ill(ctx: Context, live: Release | None) -> tuple[str, ...]:
    env = ctx.ledger.environments.get(live.site, PRODUCTION) if live and live.serves == "app" else None
    return tuple(one.name for one in slot.processes(ctx, env) if one.state in _ILL) if env else ()
