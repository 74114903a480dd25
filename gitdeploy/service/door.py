"""Who may come in: maintenance pages, passwords and known addresses. Nothing that is live changes."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from gitdeploy.domain.environment import Environment
from gitdeploy.domain.gate import Network, network
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.errors import Invalid, NotFound
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service import history
from gitdeploy.service.context import Context
from gitdeploy.service.expectation import Expect, anything
from gitdeploy.service.journal import live_release

LONGEST = 1000  # characters of a message or password
MOST = 1000  # networks in a list
_turn = threading.Lock()  # a list is read, changed and written by one at a time


def maintenance(
    ctx: Context, actor: Actor, site: Site, env: str, message: str | None, until: str
) -> Environment:
    """Answer 503 with `message` to every visitor, or with None serve again."""
    where = history.environment_of(ctx, site, env)
    actor.need(Role.MAINTAINER, site.name, f"close or open {where.name}", where.name)
    if message is not None and not 0 < len(message) <= LONGEST:
        raise Invalid("A maintenance message needs 1 to 1000 characters.", "Say what visitors should know.")
    if message is not None:
        _refuse_on_swarm(ctx, where)
    Place(ctx.home, site.name, where.folder).maintenance(message, until=until)
    action = "maintenance.off" if message is None else "maintenance.on"
    ctx.event(action, actor=actor.name, site=site.name, env=where.name, data={"message": message})
    return where


def password(ctx: Context, actor: Actor, site: Site, env: str, secret: str | None) -> Environment:
    """Ask every visitor of an environment for a password, or with None ask no more."""
    where = history.environment_of(ctx, site, env)
    least = Role.MAINTAINER if where.kind == "production" else Role.DEVELOPER
    actor.need(least, site.name, f"protect {where.name}", where.name)
    if secret is not None and not 0 < len(secret) <= LONGEST:
        raise Invalid("A password needs 1 to 1000 characters.", "Choose another.")
    if secret is not None:
        _refuse_on_swarm(ctx, where)
    Place(ctx.home, site.name, where.folder).password(secret)
    action = "password.removed" if secret is None else "password.set"
    ctx.event(action, actor=actor.name, site=site.name, env=where.name)
    return where


def allowed(ctx: Context, actor: Actor, site: Site, env: str) -> tuple[Environment, tuple[Network, ...]]:
    """The networks whose visitors are let in; none when everybody is."""
    actor.need(Role.DEVELOPER, site.name, "see who may visit it")
    where = history.environment_of(ctx, site, env)
    return where, Place(ctx.home, site.name, where.folder).allowed()


def allow(
    ctx: Context,
    actor: Actor,
    site: Site,
    env: str,
    add: Sequence[str],
    remove: Sequence[str],
    expect: Expect = anything,
) -> tuple[Environment, tuple[Network, ...]]:
    """Let visitors from these networks in, and nobody else; without the last one everybody may come again."""
    where = history.environment_of(ctx, site, env)
    actor.need(Role.MAINTAINER, site.name, f"say who may visit {where.name}", where.name)
    added, removed = [network(one) for one in add], {network(one) for one in remove}
    if add:
        _refuse_on_swarm(ctx, where)
    place = Place(ctx.home, site.name, where.folder)
    with _turn:
        expect()
        held = place.allowed()
        for one in removed - set(held):
            raise NotFound(
                f"{one} is not on the list of {where.name}.", f"See: gitdeploy allow list {site.name}"
            )
        kept = tuple(dict.fromkeys(one for one in (*held, *added) if one not in removed))
        if len(kept) > MOST:
            raise Invalid(f"A list has at most {MOST} networks.", "Join neighbours, such as 192.0.2.0/24.")
        place.allow(kept)
        ctx.event(
            "allow.changed", actor=actor.name, site=site.name, env=where.name,
            data={"networks": [str(one) for one in kept]},
        )  # fmt: skip
    return where, kept


def _refuse_on_swarm(ctx: Context, where: Environment) -> None:
    """Its visitors pass another edge, which would let everybody in."""
    live = live_release(ctx, where.site, where.name)
    if live is not None and live.image:
        raise Invalid(
            f"{where.name} of {where.site} runs on the swarm, whose edge keeps nobody out.",
            "Do it in front of it, at your load balancer.",
        )
