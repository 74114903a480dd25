"""Webhooks: who is told of events, and what came of it."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import Response

from gitdeploy.domain.site import Site
from gitdeploy.domain.webhook import FORMATS
from gitdeploy.service import webhook as webhooks
from gitdeploy.service.context import Context
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx
from gitdeploy.web.pages import page
from gitdeploy.web.pages.asking import SENT, Seen, Sent, ThisSite
from gitdeploy.web.route import unlisted

router = unlisted()


@router.get("/sites/{site}/webhooks")
def of_site(request: Request, ctx: Ctx, visit: Seen, site: ThisSite) -> Response:
    found = [views.webhook(one) for one in webhooks.listing(ctx, visit.actor, site.name)]
    return page.of_site(
        request,
        site,
        "settings",
        "webhooks.html",
        title=f"Webhooks of {site.name}",
        webhooks=found,
        formats=FORMATS,
    )


@router.get("/webhooks")
def of_server(request: Request, ctx: Ctx, visit: Seen) -> Response:
    found = [views.webhook(one) for one in webhooks.listing(ctx, visit.actor) if one.site is None]
    return page.shown(
        request, "server_webhooks.html", title="Webhooks", webhooks=found, formats=FORMATS, site=None
    )


@router.post("/webhooks")
def add(request: Request, ctx: Ctx, visit: Seen, form: Sent) -> Response:
    """The secret that signs is on this page and nowhere else."""
    made, secret = webhooks.add(
        ctx, visit.actor, form.get("url"), site=form.get("site"), format=form.get("format") or "json",
        events=form.get("events").replace(",", " ").split(), token=form.get("token"),
    )  # fmt: skip
    return page.shown(
        request, "new_webhook.html", title="New webhook", webhook=views.webhook(made), secret=secret
    )


@router.get("/webhooks/{id}")
def show(request: Request, ctx: Ctx, visit: Seen, id: str) -> Response:
    found = webhooks.find(ctx, visit.actor, id)
    sent = [views.delivery(one) for one in webhooks.deliveries(ctx, visit.actor, found.id)]
    said: dict[str, Any] = {"title": "Webhook", "webhook": views.webhook(found), "deliveries": sent}
    site = _site(ctx, found.site)
    if site is not None:
        return page.of_site(request, site, "settings", "webhook.html", **said)
    return page.shown(request, "server_webhook.html", site=None, **said)


@router.post("/webhooks/{id}/test", dependencies=SENT)
def test(ctx: Ctx, visit: Seen, id: str) -> Response:
    found = webhooks.find(ctx, visit.actor, id)
    webhooks.test(ctx, visit.actor, found.id)
    return page.led("webhooks", found.id)


@router.post("/webhooks/{id}/redeliver")
def redeliver(ctx: Ctx, visit: Seen, id: str, form: Sent) -> Response:
    webhooks.redeliver(ctx, visit.actor, form.get("delivery"))
    return page.led("webhooks", id)


@router.post("/webhooks/{id}/remove", dependencies=SENT)
def remove(ctx: Ctx, visit: Seen, id: str) -> Response:
    gone = webhooks.remove(ctx, visit.actor, id)
    where = ("sites", gone.site, "webhooks") if gone.site else ("webhooks",)
    return page.led(*where, done="removed")


def _site(ctx: Context, name: str | None) -> Site | None:
    return ctx.site(name) if name else None
