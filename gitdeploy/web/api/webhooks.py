from __future__ import annotations

from pydantic import BaseModel

from gitdeploy.service import webhook as webhooks
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx, Who
from gitdeploy.web.api.paging import Paged
from gitdeploy.web.api.route import noun
from gitdeploy.web.shapes import server as shapes
from gitdeploy.web.shapes.sites import Removed

router = noun("webhooks")


class NewWebhook(BaseModel):
    url: str
    site: str = ""
    format: str = "json"
    events: list[str] = []
    token: str = ""


@router.get("/webhooks")
def listing(ctx: Ctx, who: Who, page: Paged, site: str = "", after: str = "") -> list[shapes.Webhook]:
    """The webhooks of a site, or all of them, never their secrets; `after` is the id of the last one already seen."""
    found = webhooks.listing(ctx, who, site, after=after, limit=page.enough)
    return [views.webhook(one) for one in page.of(found, lambda one: one.id, "after")]


@router.post("/webhooks", status_code=201)
def add(ctx: Ctx, who: Who, body: NewWebhook) -> shapes.MadeWebhook:
    """Tell events to an address, of a site or of all; the `secret` that signs them is in this answer
    and nowhere else.
    """
    made, secret = webhooks.add(
        ctx, who, body.url, site=body.site, format=body.format, events=body.events, token=body.token
    )
    return {**views.webhook(made), "secret": secret or None}


@router.delete("/webhooks/{id}")
def remove(ctx: Ctx, who: Who, id: str) -> Removed:
    """Tell it nothing more."""
    return {"removed": webhooks.remove(ctx, who, id).id}


@router.post("/webhooks/{id}/test")
def test(ctx: Ctx, who: Who, id: str) -> shapes.Delivery:
    """Send it a made-up event, and say what came of it."""
    return views.delivery(webhooks.test(ctx, who, id))


@router.get("/webhooks/{id}/deliveries")
def deliveries(ctx: Ctx, who: Who, id: str, page: Paged, before: str = "~") -> list[shapes.Delivery]:
    """The last attempts, newest first, with request and answer; `before` is the id of the last one already seen."""
    found = webhooks.deliveries(ctx, who, id, before=before, limit=page.enough)
    return [views.delivery(one) for one in page.of(found, lambda one: one.id)]


@router.post("/deliveries/{id}/redeliver")
def redeliver(ctx: Ctx, who: Who, id: str) -> shapes.Delivery:
    """Send the event of a delivery once more, and say what came of it."""
    return views.delivery(webhooks.redeliver(ctx, who, id))
