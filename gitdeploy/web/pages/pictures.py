"""Pages as they look now and as they would, side by side."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import Request
from fastapi.responses import Response

from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.role import Role
from gitdeploy.service import pictures
from gitdeploy.service.teller import Teller
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx
from gitdeploy.web.pages import page
from gitdeploy.web.pages.asking import Seen, Sent, ThisSite
from gitdeploy.web.route import unlisted

router = unlisted()


@router.post("/sites/{site}/pictures")
def take(request: Request, ctx: Ctx, visit: Seen, site: ThisSite, form: Sent) -> Response:
    visit.actor.need(Role.DEVELOPER, site.name, "take pictures")
    env, target = form.get("env") or PRODUCTION, form.get("target")
    back = page.url("sites", site.name, "promote", target=target, env="" if env == PRODUCTION else env)

    def run(teller: Teller) -> dict[str, Any]:
        made = pictures.take(ctx, visit.actor, site, env, target, teller)
        go = page.url("sites", site.name, "pictures", made.id)
        return {"says": f"{len(made.of)} pages are taken.", "go": go, "label": "See them side by side"}

    return page.carried(request, site, "deploys", "Take pictures", run, back)


@router.get("/sites/{site}/pictures/{id}")
def show(request: Request, ctx: Ctx, site: ThisSite, id: str) -> Response:
    found = pictures.find(ctx, site, id)
    return page.of_site(
        request,
        site,
        "deploys",
        "pictures.html",
        title=f"Pictures of {site.name}",
        pictures=views.pictures(found),
    )


@router.get("/sites/{site}/pictures/{id}/{number}/{side}")
def png(ctx: Ctx, site: ThisSite, id: str, number: int, side: Literal["live", "candidate"]) -> Response:
    content = pictures.png(ctx, pictures.find(ctx, site, id), number, side)
    return Response(content, media_type="image/png", headers={"Cache-Control": "private, max-age=86400"})
