"""Cutovers: a preview's data becomes production's, requested by one and reviewed and run by an operator."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import Response

from gitdeploy.domain.cutover import NOTE_MAX, TICKET_MAX
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.role import Role
from gitdeploy.errors import Invalid, Refused
from gitdeploy.service import cutover as cutovers
from gitdeploy.service import environment as environments
from gitdeploy.service import offer
from gitdeploy.service.teller import Teller
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx
from gitdeploy.web.api.cutovers import Run, carried
from gitdeploy.web.pages import page
from gitdeploy.web.pages.asking import Seen, Sent, ThisSite
from gitdeploy.web.route import unlisted

router = unlisted()
_SHOWN = 20
_PREVIEWS = 50  # that can be chosen


@router.get("/sites/{site}/cutovers")
def listing(
    request: Request, ctx: Ctx, visit: Seen, site: ThisSite, before: str = "~", preview: str = ""
) -> Response:
    found = cutovers.listing(ctx, visit.actor, site, before=before, limit=_SHOWN + 1)
    rows = found[:_SHOWN]
    previews = [one for one in environments.listing(ctx, site, "preview")[:_PREVIEWS] if one.state == "ready"]
    return page.of_site(
        request, site, "data", "cutovers.html", title=f"Cutovers of {site.name}", preview=preview,
        cutovers=[views.cutover(ctx, one) for one in rows], previews=[one.name for one in previews],
        note_max=NOTE_MAX, ticket_max=TICKET_MAX, is_first=before == "~",
        older=page.url("sites", site.name, "cutovers", before=rows[-1].id) if len(found) > _SHOWN else "",
    )  # fmt: skip


@router.post("/sites/{site}/cutovers")
def ask(request: Request, ctx: Ctx, visit: Seen, site: ThisSite, form: Sent) -> Response:
    visit.actor.need(Role.DEVELOPER, site.name, "request a cutover")
    back = page.url("sites", site.name, "cutovers")

    def run(teller: Teller) -> dict[str, Any]:
        note, ticket = form.raw("note").strip(), form.get("ticket")
        made = cutovers.request(ctx, visit.actor, site, form.get("preview"), teller, note=note, ticket=ticket)
        go = page.url("sites", site.name, "cutovers", made.id)
        return {"says": "It is requested: an operator reviews it.", "go": go, "label": "See the request"}

    return page.carried(request, site, "data", f"Request a cutover of {form.get('preview')}", run, back)


@router.get("/sites/{site}/cutovers/{id}")
def show(request: Request, ctx: Ctx, visit: Seen, site: ThisSite, id: str) -> Response:
    visit.actor.need(Role.DEVELOPER, site.name, "see its cutovers")
    found = cutovers.find(ctx, site, id)
    return page.of_site(
        request, site, "data", "cutover.html", title=f"Cutover of {found.preview}", cutover=views.cutover(ctx, found),
        no_review=offer.lacking(visit.actor, Role.OPERATOR, site.name, "review cutovers"),
        is_mine=found.requester == visit.actor.name, ticket_max=TICKET_MAX, note_max=NOTE_MAX,
    )  # fmt: skip


@router.post("/sites/{site}/cutovers/{id}")
def review(request: Request, ctx: Ctx, visit: Seen, site: ThisSite, id: str, form: Sent) -> Response:
    """Ack, reject or cancel."""
    found, do, actor = cutovers.find(ctx, site, id), form.get("do"), visit.actor
    go = page.url("sites", site.name, "cutovers", found.id)
    if do == "ack":

        def run(teller: Teller) -> dict[str, Any]:
            cutovers.ack(ctx, actor, site, found, teller, ticket=form.get("ticket"))
            return {"says": "It is acked, and can be run.", "go": go, "label": "Back to the request"}

        actor.need(Role.OPERATOR, site.name, "ack a cutover", PRODUCTION)
        return page.carried(request, site, "data", f"Ack the cutover of {found.preview}", run, go)
    if do == "reject":
        cutovers.reject(ctx, actor, site, found, form.get("reason"))
    elif do == "cancel":
        cutovers.cancel(ctx, actor, site, found, form.get("reason"))
    else:
        raise Invalid("A request is acked, rejected or canceled.", "Choose one.")
    return page.led("sites", site.name, "cutovers", found.id, done="saved")


@router.post("/sites/{site}/cutovers/{id}/run")
def run(request: Request, ctx: Ctx, visit: Seen, site: ThisSite, id: str, form: Sent) -> Response:
    """Rehearse, or for who has typed the name of production: do it."""
    found = cutovers.find(ctx, site, id)
    rehearse = form.get("do") == "rehearse"
    if not rehearse:
        visit.actor.need(Role.OPERATOR, site.name, "run a cutover", PRODUCTION)
        if form.get("confirm") != PRODUCTION:
            raise Refused(
                "A cutover replaces all databases and files of production.",
                f"Type {PRODUCTION} to say that you mean it.",
            )
    body = Run(
        external_ticket_ref=form.get("ticket"), reason=form.get("reason"),
        force_schema=form.ticked("force_schema"), rehearse=rehearse,
    )  # fmt: skip
    go = page.url("sites", site.name, "cutovers", found.id)
    verb = carried(ctx, visit.actor, site, found.id, body)

    def act(teller: Teller) -> dict[str, Any]:
        verb(teller)
        says = (
            "It went well on copies: nothing was changed."
            if rehearse
            else "production has the preview's data."
        )
        return {"says": says, "go": go, "label": "Back to the request"}

    return page.carried(request, site, "data", f"Cutover of {found.preview}", act, go)
