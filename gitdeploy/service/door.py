"""Who may come in: maintenance pages and passwords of an environment. Nothing that is live changes."""

from __future__ import annotations

from gitdeploy.domain.environment import Environment
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.errors import Invalid
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service import history
from gitdeploy.service.context import Context

LONGEST = 1000  # characters of a message or password


def maintenance(
    ctx: Context, actor: Actor, site: Site, env: str, message: str | None, until: str
) -> Environment:
    """Answer 503 with `message` to every visitor, or with None serve again."""
    actor.need(Role.MAINTAINER, site.name, f"close or open {env}")
    if message is not None and not 0 < len(message) <= LONGEST:
        raise Invalid("A maintenance message needs 1 to 1000 characters.", "Say what visitors should know.")
    where = history.environment_of(ctx, site, env)
    Place(ctx.home, site.name, where.folder).maintenance(message, until=until)
    action = "maintenance.off" if message is None else "maintenance.on"
    ctx.event(action, actor=actor.name, site=site.name, env=where.name, data={"message": message})
    return where


def password(ctx: Context, actor: Actor, site: Site, env: str, secret: str | None) -> Environment:
    """Ask every visitor of an environment for a password, or with None ask no more."""
    actor.need(Role.DEVELOPER, site.name, "protect previews")
    where = history.environment_of(ctx, site, env)
    if where.kind == "production":
        actor.need(Role.MAINTAINER, site.name, f"protect {env}")
    if secret is not None and not 0 < len(secret) <= LONGEST:
        raise Invalid("A password needs 1 to 1000 characters.", "Choose another.")
    Place(ctx.home, site.name, where.folder).password(secret)
    action = "password.removed" if secret is None else "password.set"
    ctx.event(action, actor=actor.name, site=site.name, env=where.name)
    return where
