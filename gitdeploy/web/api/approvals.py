from __future__ import annotations

from fastapi import Request
from pydantic import BaseModel

from gitdeploy.domain.length import REASON_MAX
from gitdeploy.service import approval as approvals
from gitdeploy.service.teller import Teller
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx, Reason, ThisSite, Who, up_to
from gitdeploy.web.api.paging import Paged
from gitdeploy.web.api.route import noun
from gitdeploy.web.shapes import releases as shapes
from gitdeploy.web.stream import Told, told

router = noun("approvals")


class Why(BaseModel):
    reason: Reason = up_to(REASON_MAX)


@router.get("/sites/{site}/approvals")
def listing(
    ctx: Ctx, site: ThisSite, page: Paged, all: bool = False, before: str = "~"
) -> list[shapes.Approval]:
    """What waits for approvals, newest first; with `all` also what came of the others. `before` is the id of the last
    one already seen.
    """
    found = approvals.listing(ctx, site, all=all, before=before, limit=page.enough)
    return [views.approval(one) for one in page.of(found, lambda one: one.id)]


@router.post("/approvals/{id}/approve")
def approve(ctx: Ctx, who: Who, request: Request, id: str) -> Told[shapes.Approval]:
    """Let it go live. Not by who asked for it, or pushed it."""
    row = approvals.find_for(ctx, who, id)

    def act(teller: Teller) -> shapes.Approval:
        return views.approval(approvals.vote(ctx, who, row, teller))

    return told(ctx, request, act)


@router.post("/approvals/{id}/reject")
def reject(ctx: Ctx, who: Who, id: str, body: Why) -> shapes.Approval:
    """Say no, with a reason; or take one's own request back."""
    return views.approval(approvals.reject(ctx, who, approvals.find_for(ctx, who, id), body.reason))
