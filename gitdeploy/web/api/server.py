from __future__ import annotations

from fastapi import Request
from pydantic import BaseModel

from gitdeploy.domain.role import EVERY_SITE, Role
from gitdeploy.errors import Refused
from gitdeploy.service import access, doctor, retention, transport
from gitdeploy.service.doctor import Checked
from gitdeploy.service.finding import Finding
from gitdeploy.service.retention import Collected
from gitdeploy.service.teller import Teller
from gitdeploy.web.api.asking import Ctx, Who
from gitdeploy.web.api.route import noun
from gitdeploy.web.shapes import server as shapes
from gitdeploy.web.stream import Told, told

router = noun("server")


class Session(BaseModel):
    key: str
    pid: int
    site: str = ""
    service: str = ""


@router.get("/doctor")
def examine(ctx: Ctx, who: Who) -> list[Finding]:
    """Examine the server: findings with their level and what to do."""
    who.need(Role.ADMIN, EVERY_SITE, "examine the server")
    return doctor.examine(ctx, asked=True)


@router.post("/gc")
def gc(ctx: Ctx, who: Who, request: Request, dry_run: bool = False) -> Told[Collected]:
    """Remove stored files that nothing needs."""
    who.need(Role.ADMIN, EVERY_SITE, "collect garbage")
    return told(ctx, request, lambda teller: retention.collect(ctx, teller, dry_run=dry_run))


@router.post("/fsck")
def fsck(ctx: Ctx, who: Who, request: Request) -> Told[Checked]:
    """Read everything that is stored; says what is damaged and which releases it belongs to."""
    who.need(Role.ADMIN, EVERY_SITE, "check the store")

    def run(teller: Teller) -> Checked:
        return doctor.check_store(ctx, teller)

    return told(ctx, request, run)


@router.post("/sessions")
def open_session(ctx: Ctx, request: Request, body: Session) -> shapes.OpenSession:
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
def close_session(request: Request, name: str) -> shapes.Nothing:
    """End a session of the SSH door."""
    request.app.state.sessions.close(name)
    return {}
