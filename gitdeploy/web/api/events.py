from __future__ import annotations

import dataclasses
import json
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response, StreamingResponse

from gitdeploy.domain.schedule import moment
from gitdeploy.service import events
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx, Who
from gitdeploy.web.stream import LINES

router = APIRouter(tags=["events"])


@router.get("/events")
def listing(
    ctx: Ctx, who: Who, site: str = "", limit: int = 100, since: str = "", before: str = ""
) -> list[dict[str, Any]]:
    """The audit log, newest first; `before` is the id of the last one already seen, `since` a moment."""
    found = events.listing(
        ctx, who, site=site, limit=max(1, min(limit, 1000)), since=since and moment(since), before=before
    )
    return [views.event(one) for one in found]


@router.get("/events/lines")
def lines(
    ctx: Ctx, who: Who, site: str = "", since: str = "", after: str = "", follow: bool = False
) -> Response:
    """All of it as JSON lines, oldest first; `after` is the id of the last one already seen. With `follow` it
    goes on.
    """
    found = events.following(ctx, who, site=site, since=since and moment(since), after=after, follow=follow)
    said = (
        "".join(json.dumps(views.event(one), ensure_ascii=False) + "\n" for one in some) for some in found
    )
    return StreamingResponse(said, media_type=LINES)


@router.get("/events/verify")
def verify(ctx: Ctx, who: Who) -> dict[str, Any]:
    """Compute the hash of every line again; `broken` is the id of the first that does not fit, `head` the last hash."""
    return dataclasses.asdict(events.verify(ctx, who))
