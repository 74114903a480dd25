from __future__ import annotations

from fastapi import Request
from pydantic import BaseModel

from gitdeploy.domain import units
from gitdeploy.errors import NotFound
from gitdeploy.service import access
from gitdeploy.service.login import LIFETIME, Logins
from gitdeploy.web.api.asking import Ctx, Who, bearer
from gitdeploy.web.api.route import noun
from gitdeploy.web.shapes import server as shapes

router = noun("login")


class Begin(BaseModel):
    host: str = ""
    sites: list[str] = []
    role: str = ""
    expires: str = "90d"


class Poll(BaseModel):
    device_code: str


@router.post("/login", status_code=201)
def begin(request: Request, body: Begin) -> shapes.BegunLogin:
    """Ask to be signed in, without a token: somebody types `user_code` at `verification_uri` and allows it (RFC 8628).
    With `sites` or `role` the token may no more than that.
    """
    address = request.client.host if request.client else ""
    request.app.state.knocks.take(address)
    logins: Logins = request.app.state.logins
    secret, one = logins.begin(
        body.host, address, tuple(body.sites), body.role, units.parse_duration(body.expires)
    )
    return {
        "device_code": secret, "user_code": one.code, "verification_uri": f"{request.base_url}login",
        "expires_in": LIFETIME, "interval": one.interval,
    }  # fmt: skip


@router.post("/login/token")
def poll(request: Request, body: Poll) -> shapes.Login:
    """Whether it was allowed: `state` is `pending`, `slow_down` (from now on wait `interval` seconds) or `allowed`,
    with the `token`, once.
    """
    address = request.client.host if request.client else ""
    request.app.state.lockout.check(address)
    logins: Logins = request.app.state.logins
    try:
        state, one, token, secret = logins.poll(body.device_code)
    except NotFound:
        request.app.state.lockout.wrong(address)
        raise
    if token is None:
        return {"state": state, "interval": one.interval}
    return {
        "state": state, "interval": one.interval, "token": secret, "id": token.id, "actor": token.actor,
        "expires_at": token.expires_at,
    }  # fmt: skip


@router.delete("/login")
def log_out(request: Request, ctx: Ctx, who: Who) -> shapes.LoggedOut:
    """Let the token that this request comes with count no more."""
    found = access.revoke_own(ctx, bearer(request))
    return {"revoked": found.id, "actor": who.name}
