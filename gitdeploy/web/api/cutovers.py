from __future__ import annotations

from fastapi import Request
from pydantic import BaseModel

from gitdeploy.domain.cutover import NOTE_MAX, TICKET_MAX
from gitdeploy.domain.length import REASON_MAX
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.options import Options, checked
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.service import cutover as cutovers
from gitdeploy.service import cutover_run
from gitdeploy.service import release as releases
from gitdeploy.service.context import Context
from gitdeploy.service.rehearsal import Rehearsed
from gitdeploy.service.release import Ask
from gitdeploy.service.teller import Teller
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx, Reason, ThisSite, Who, up_to
from gitdeploy.web.api.paging import Paged
from gitdeploy.web.api.route import noun
from gitdeploy.web.shapes import data as shapes
from gitdeploy.web.shapes.releases import DryRun
from gitdeploy.web.stream import Told, Verb, told

router = noun("cutovers")
Done = shapes.Cutover | DryRun | shapes.Rehearsal
"""What comes of a run: it is done, or was only tried."""


class Wish(BaseModel):
    preview_id: str
    customer_note: str = up_to(NOTE_MAX)
    external_ticket_ref: str = up_to(TICKET_MAX)


class Ack(BaseModel):
    external_ticket_ref: str = up_to(TICKET_MAX)


class Decide(BaseModel):
    reason: Reason = up_to(REASON_MAX)


class Run(BaseModel):
    external_ticket_ref: str = up_to(TICKET_MAX)
    reason: Reason = up_to(REASON_MAX)
    force_schema: bool = False
    rehearse: bool = False
    rehearsal: str = ""
    dry_run: bool = False


@router.post("/sites/{site}/cutover-requests")
@router.post("/projects/{site}/cutover-requests")
def request(ctx: Ctx, who: Who, site: ThisSite, asked: Request, body: Wish) -> Told[shapes.Cutover]:
    """Ask that the data of a ready preview become production's; an operator decides, and runs it."""
    who.need(Role.DEVELOPER, site.name, "request a cutover")

    def act(teller: Teller) -> shapes.Cutover:
        row = cutovers.request(
            ctx, who, site, body.preview_id, teller, note=body.customer_note, ticket=body.external_ticket_ref
        )
        return views.cutover(ctx, row)

    return told(ctx, asked, act)


@router.get("/sites/{site}/cutover-requests")
@router.get("/projects/{site}/cutover-requests")
def listing(ctx: Ctx, who: Who, site: ThisSite, page: Paged, before: str = "~") -> list[shapes.Cutover]:
    """The requests for a cutover, newest first; `before` is the id of the last one already seen."""
    found = cutovers.listing(ctx, who, site, before=before, limit=page.enough)
    return [views.cutover(ctx, one) for one in page.of(found, lambda one: one.id)]


@router.get("/sites/{site}/cutover-requests/{request}")
@router.get("/projects/{site}/cutover-requests/{request}")
def show(ctx: Ctx, who: Who, site: ThisSite, request: str) -> shapes.Cutover:
    """One request, by its id, or the newest of a preview."""
    who.need(Role.DEVELOPER, site.name, "see its cutovers")
    return views.cutover(ctx, cutovers.find(ctx, site, request))


@router.post("/sites/{site}/cutover-requests/{request}/ack")
@router.post("/projects/{site}/cutover-requests/{request}/ack")
def ack(ctx: Ctx, who: Who, site: ThisSite, asked: Request, request: str, body: Ack) -> Told[shapes.Cutover]:
    """Agree to an open request, which may name its ticket now; running it is another step."""
    who.need(Role.OPERATOR, site.name, "ack a cutover", PRODUCTION)
    row = cutovers.find(ctx, site, request)

    def act(teller: Teller) -> shapes.Cutover:
        return views.cutover(ctx, cutovers.ack(ctx, who, site, row, teller, ticket=body.external_ticket_ref))

    return told(ctx, asked, act)


@router.post("/sites/{site}/cutover-requests/{request}/reject")
@router.post("/projects/{site}/cutover-requests/{request}/reject")
def reject(ctx: Ctx, who: Who, site: ThisSite, request: str, body: Decide) -> shapes.Cutover:
    """Reject an open request, with a reason."""
    return views.cutover(ctx, cutovers.reject(ctx, who, site, cutovers.find(ctx, site, request), body.reason))


@router.post("/sites/{site}/cutover-requests/{request}/cancel")
@router.post("/projects/{site}/cutover-requests/{request}/cancel")
def cancel(ctx: Ctx, who: Who, site: ThisSite, request: str, body: Decide) -> shapes.Cutover:
    """Take back a request that is not under way: whoever asked, or an operator."""
    return views.cutover(ctx, cutovers.cancel(ctx, who, site, cutovers.find(ctx, site, request), body.reason))


@router.post("/sites/{site}/cutover-requests/{request}/run")
@router.post("/projects/{site}/cutover-requests/{request}/run")
def run(ctx: Ctx, who: Who, site: ThisSite, asked: Request, request: str, body: Run) -> Told[Done]:
    """Carry out an acked request: backup, copy, switch. `rehearse` runs it on copies, also for a preview that nobody
    requested a cutover of.
    """
    return told(ctx, asked, carried(ctx, who, site, request, body))


def carried(ctx: Context, who: Actor, site: Site, request: str, body: Run) -> Verb[Done]:
    """What runs a cutover, or rehearses it, for whoever may. Raises Refused, NotFound."""
    checked(Options(reason=body.reason, force_schema=body.force_schema, dry_run=body.dry_run,
                    rehearse=body.rehearse, rehearsal=body.rehearsal))  # fmt: skip
    who.need(Role.DEVELOPER if body.rehearse else Role.OPERATOR, site.name, "run a cutover", PRODUCTION)
    open_one = cutovers.open_for(ctx, site, request)
    row = None if body.rehearse else open_one or cutovers.find(ctx, site, request)

    def act(teller: Teller) -> Done:
        wanted = Ask(
            who.name, site, reason=body.reason, dry_run=body.dry_run, force_schema=body.force_schema,
            rehearse=body.rehearse, rehearsal=body.rehearsal, teller=teller,
        )  # fmt: skip
        try:
            if row is None:
                preview = open_one.preview if open_one else request
                cutover_run.rehearse_for(ctx, who, wanted, preview)
            cutover_run.run(ctx, who, wanted, row, ticket=body.external_ticket_ref)
            return views.cutover(ctx, cutovers.find(ctx, site, row.id))
        except releases.DryRun as done:
            return {"dry_run": True, "message": done.message}
        except Rehearsed as done:
            return views.rehearsed(done, teller)

    return act
