from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel

from gitdeploy.domain.role import EVERY_SITE, Role
from gitdeploy.errors import Refused
from gitdeploy.service import access, doctor, retention, transport
from gitdeploy.service.teller import Teller
from gitdeploy.web.api.asking import Ctx, Who
from gitdeploy.web.stream import told

router = APIRouter(tags=["server"])


class Session(BaseModel):
    key: str
    pid: int
    site: str = ""
    service: str = ""


@router.get("/doctor")
def examine(ctx: Ctx, who: Who) -> list[dict[str, Any]]:
    """Examine the server: findings with their level and what to do."""
    who.need(Role.ADMIN, EVERY_SITE, "examine the server")
    return [one.as_json() for one in doctor.examine(ctx)]


@router.post("/gc")
def gc(ctx: Ctx, who: Who, request: Request, dry_run: bool = False) -> Response:
    """Remove stored files that nothing needs."""
    who.need(Role.ADMIN, EVERY_SITE, "collect garbage")
    return told(ctx, request, lambda teller: retention.collect(ctx, teller, dry_run=dry_run))


@router.post("/fsck")
def fsck(ctx: Ctx, who: Who, request: Request) -> Response:
    """Read everything that is stored; says what is damaged and which releases it belongs to."""
    who.need(Role.ADMIN, EVERY_SITE, "check the store")

    def run(teller: Teller) -> dict[str, Any]:
        return doctor.check_store(ctx, teller)

    return told(ctx, request, run)


@router.post("/sessions")
def open_session(ctx: Ctx, request: Request, body: Session) -> dict[str, Any]:
    """For the SSH door, on this machine only: a session in the name of a key's owner, if they may. It ends with the
    process `pid`.
    """
    if request.scope.get("gitdeploy.local") is None:
        raise Refused("Sessions are opened on the machine itself.")
    actor = access.by_key(ctx, body.key)
    path = str(transport.admit(ctx, actor, body.site, body.service).path) if body.service else ""
    session = request.app.state.sessions.open(actor, owner=body.pid)
    return {"session": session, "actor": actor.name, "repository": path}


@router.delete("/sessions/{name}")
def close_session(request: Request, name: str) -> dict[str, Any]:
    """End a session of the SSH door."""
    request.app.state.sessions.close(name)
    return {}
