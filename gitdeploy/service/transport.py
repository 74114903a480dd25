"""Who may fetch and push, whichever way git comes in."""

from __future__ import annotations

from gitdeploy.domain.names import SiteName
from gitdeploy.domain.role import SOMEWHERE, Actor, Role
from gitdeploy.errors import NotFound
from gitdeploy.git.repository import Repository
from gitdeploy.service import site as sites
from gitdeploy.service.context import Context

PUSH = "git-receive-pack"


def admit(ctx: Context, actor: Actor, name: str, service: str) -> Repository:
    """The repository that `actor` may use with git's `service`. A site is made by the first push of somebody who
    may make one. Raises Refused or NotFound; a site that the actor may not see does not exist for them.
    """
    site = SiteName.parse(name)
    exists = ctx.ledger.sites.get(site) is not None
    if not exists and service == PUSH:
        ctx.lead.need()
        sites.create(ctx, actor, site)
    elif not exists or actor.role(site) is None:
        raise NotFound(f"There is no site {name!r}.", f"Create it with: gitdeploy site create {name}")
    if service == PUSH:
        actor.need(Role.DEVELOPER, site, "push to it", SOMEWHERE)
    else:
        actor.need(Role.VIEWER, site, "read it")
    return ctx.repository(site)
