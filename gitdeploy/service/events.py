"""The audit log: read, followed, proven."""

from __future__ import annotations

from collections.abc import Iterator

from gitdeploy.domain.event import Chain, Event
from gitdeploy.domain.role import EVERY_SITE, Actor, Role
from gitdeploy.errors import NotFound
from gitdeploy.service.context import Context

_LOOK = 0.5
"""Seconds between two looks for what is new."""


def listing(
    ctx: Context, actor: Actor, *, site: str = "", since: str = "", before: str = "", limit: int = 100
) -> list[Event]:
    """Newest first, none older than the moment `since` (UTC ISO 8601), beginning after the event `before`, an id; a
    site's events for its developers, the server's for admins.
    """
    _need(actor, site)
    after = ctx.ledger.events.before(since) if since else 0
    return ctx.ledger.events.list(site=site, after=after, before=before, limit=limit)


def following(
    ctx: Context, actor: Actor, *, site: str = "", since: str = "", after: str = "", follow: bool = False
) -> Iterator[list[Event]]:
    """Some at a time, oldest first, from the moment `since` or after the event `after`, an id; with neither all there
    are. With `follow` it goes on with what happens, until the server ends; none at a time says that nothing is new.
    """
    _need(actor, site)
    number = ctx.ledger.events.before(since) if since else 0
    if after:
        if (known := ctx.ledger.events.number(after)) is None:
            raise NotFound(f"There is no event {after[:40]!r}.", "See: gitdeploy events")
        number = max(number, known)
    return _lines(ctx, number, (site,) if site else (), follow)


def verify(ctx: Context, actor: Actor) -> Chain:
    """Compute every hash again."""
    actor.need(Role.ADMIN, EVERY_SITE, "verify the events")
    return ctx.ledger.events.verify()


# Private


def _lines(ctx: Context, number: int, sites: tuple[str, ...], follow: bool) -> Iterator[list[Event]]:
    while True:
        found = ctx.ledger.events.after(number, sites=sites)
        if found:
            number = found[-1][0]
        elif not follow or ctx.queue.stopping.wait(timeout=_LOOK):
            return
        yield [event for _, event in found]


def _need(actor: Actor, site: str) -> None:
    actor.need(Role.DEVELOPER if site else Role.ADMIN, site or EVERY_SITE, "read the events")
