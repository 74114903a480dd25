"""What every route asks first: which home, who is it, which site."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import AfterValidator, Field

from gitdeploy.domain import length
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.errors import NotFound, Refused
from gitdeploy.service import access
from gitdeploy.service.context import Context
from gitdeploy.web.sessions import Sessions


class Unknown(Refused):
    """Nobody, or a token that does not count."""

    code = "unauthorized"
    http_status = 401


def context(request: Request) -> Context:
    found: Context = request.app.state.ctx
    return found


def bearer(request: Request) -> str:
    """The secret of the token that a request comes with. Raises Unknown."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret:
        raise Unknown("A token is needed.", "Send: Authorization: Bearer gd_live_…")
    return secret.strip()


def actor(request: Request, ctx: Annotated[Context, Depends(context)]) -> Actor:
    """Over the unix socket whoever reaches it, or in whose name the SSH door asks; over TCP the owner of the
    Bearer token.
    """
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    local: Actor | None = request.scope.get("gitdeploy.local")
    if local is not None:
        sessions: Sessions = request.app.state.sessions
        return sessions.actor(secret) if scheme.lower() == "session" else local
    try:
        return access.by_token(ctx, bearer(request))
    except Refused as error:
        raise Unknown(error.message, error.hint) from None


Ctx = Annotated[Context, Depends(context)]
Who = Annotated[Actor, Depends(actor)]


def up_to(most: int) -> Any:
    """For the reader of the reference; the verb refuses what is longer, in its own words."""
    return Field("", json_schema_extra={"maxLength": most})


Reason = Annotated[str, AfterValidator(length.reason)]


def site(ctx: Ctx, who: Who, site: str) -> Site:
    """A site by name or id that the caller may at least see; to others it does not exist."""
    found = ctx.ledger.sites.get(site) or ctx.ledger.sites.one(id=site)
    if found is None or who.role(found.name) is None:
        raise NotFound(f"There is no site {site[:40]!r}.", "See: gitdeploy site list")
    who.need(Role.VIEWER, found.name, "see it")
    return found


ThisSite = Annotated[Site, Depends(site)]
