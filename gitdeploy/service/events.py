"""The audit log, read."""

from __future__ import annotations

from gitdeploy.domain.event import Event
from gitdeploy.domain.role import EVERY_SITE, Actor, Role
from gitdeploy.service.context import Context


def listing(
    ctx: Context, actor: Actor, *, site: str = "", after: int = 0, before: str = "", limit: int = 100
) -> list[Event]:
    """Newest first, beginning after the event `before`, an id; a site's events for its developers, the server's for
    admins.
    """
    actor.need(Role.DEVELOPER if site else Role.ADMIN, site or EVERY_SITE, "read the events")
    return ctx.ledger.events.list(site=site, after=after, before=before, limit=limit)
