from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from gitdeploy.service import webhook as webhooks
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx, Who

router = APIRouter(tags=["webhooks"])


class NewWebhook(BaseModel):
    url: str
    site: str = ""
    format: str = "json"
    events: list[str] = []
    token: str = ""


@router.get("/webhooks")
def listing(ctx: Ctx, who: Who, site: str = "") -> list[dict[str, Any]]:
    """The webhooks of a site, or all of them; never their secrets."""
    return [views.webhook(one) for one in webhooks.listing(ctx, who, site)]


@router.post("/webhooks", status_code=201)
def add(ctx: Ctx, who: Who, body: NewWebhook) -> dict[str, Any]:
    """Tell events to an address, of a site or of all; the `secret` that signs them is in this answer
    and nowhere else.
    """
    made, secret = webhooks.add(
        ctx, who, body.url, site=body.site, format=body.format, events=body.events, token=body.token
    )
    return {**views.webhook(made), "secret": secret or None}


@router.delete("/webhooks/{id}")
def remove(ctx: Ctx, who: Who, id: str) -> dict[str, Any]:
    """Tell it nothing more."""
    return {"removed": webhooks.remove(ctx, who, id).id}


@router.post("/webhooks/{id}/test")
def test(ctx: Ctx, who: Who, id: str) -> dict[str, Any]:
    """Send it a made-up event, and say what came of it."""
    return views.delivery(webhooks.test(ctx, who, id))


@router.get("/webhooks/{id}/deliveries")
def deliveries(ctx: Ctx, who: Who, id: str, limit: int = 50) -> list[dict[str, Any]]:
    """The last attempts, newest first, with request and answer."""
    return [views.delivery(one) for one in webhooks.deliveries(ctx, who, id, max(1, min(limit, 100)))]


@router.post("/deliveries/{id}/redeliver")
def redeliver(ctx: Ctx, who: Who, id: str) -> dict[str, Any]:
    """Send the event of a delivery once more, and say what came of it."""
    return views.delivery(webhooks.redeliver(ctx, who, id))
