from __future__ import annotations

import json
from typing import Annotated

from fastapi import Header, Request

from gitdeploy.domain.event import Chain
from gitdeploy.domain.schedule import moment
from gitdeploy.service import events
from gitdeploy.web import stream, views
from gitdeploy.web.api.asking import Ctx, Who
from gitdeploy.web.api.paging import Paged
from gitdeploy.web.api.route import noun
from gitdeploy.web.shapes import server as shapes
from gitdeploy.web.stream import Line, Lines

router = noun("events")


@router.get("/events")
def listing(
    ctx: Ctx, who: Who, page: Paged, site: str = "", since: str = "", before: str = ""
) -> list[shapes.Event]:
    """The audit log, newest first; `before` is the id of the last one already seen, `since` a moment."""
    found = events.listing(
        ctx, who, site=site, limit=page.enough, since=since and moment(since), before=before
    )
    return [views.event(one) for one in page.of(found, lambda one: one.id)]


@router.get("/events/lines")
def lines(
    ctx: Ctx,
    who: Who,
    request: Request,
    site: str = "",
    since: str = "",
    after: str = "",
    follow: bool = False,
    last_event_id: Annotated[str, Header()] = "",
) -> Lines:
    """All of it as JSON lines, oldest first; `after`, or the header `Last-Event-ID`, is the id of the last one already
    seen. With `follow` it goes on.
    """
    found = events.following(
        ctx, who, site=site, since=since and moment(since), after=last_event_id or after, follow=follow
    )
    batches = (
        [Line(json.dumps(views.event(one), ensure_ascii=False), one.action, one.id) for one in some]
        for some in found
    )
    return stream.lines(request, batches)


@router.get("/events/verify")
def verify(ctx: Ctx, who: Who) -> Chain:
    """Compute the hash of every line again; `broken` is the id of the first that does not fit, `head` the last hash."""
    return events.verify(ctx, who)
