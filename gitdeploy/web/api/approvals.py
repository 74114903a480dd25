from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel

from gitdeploy.domain.length import REASON_MAX
from gitdeploy.service import approval as approvals
from gitdeploy.service.teller import Teller
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx, Reason, ThisSite, Who, up_to
from gitdeploy.web.stream import told

router = APIRouter(tags=["approvals"])


class Why(BaseModel):
    reason: Reason = up_to(REASON_MAX)


@router.get("/sites/{site}/approvals")
def listing(ctx: Ctx, site: ThisSite, all: bool = False) -> list[dict[str, Any]]:
    """What waits for approvals, newest first; with `all` also what came of the others."""
    return [views.approval(one) for one in approvals.listing(ctx, site, all=all)]


@router.post("/approvals/{id}/approve")
def approve(ctx: Ctx, who: Who, request: Request, id: str) -> Response:
    """Let it go live. Not by who asked for it, or pushed it."""
    row = approvals.find_for(ctx, who, id)

    def act(teller: Teller) -> dict[str, Any]:
        return views.approval(approvals.vote(ctx, who, row, teller))

    return told(ctx, request, act)


@router.post("/approvals/{id}/reject")
def reject(ctx: Ctx, who: Who, id: str, body: Why) -> dict[str, Any]:
    """Say no, with a reason; or take one's own request back."""
    return views.approval(approvals.reject(ctx, who, approvals.find_for(ctx, who, id), body.reason))
