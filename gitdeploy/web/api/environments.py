from __future__ import annotations

from pydantic import BaseModel

from gitdeploy.domain import units
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.gate import Network
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.service import door
from gitdeploy.service import environment as environments
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx, ThisSite, Who
from gitdeploy.web.api.conditional import If
from gitdeploy.web.api.paging import Paged
from gitdeploy.web.api.route import noun
from gitdeploy.web.shapes import sites as shapes

router = noun("environments")


class Time(BaseModel):
    ttl: str = "14d"


class Closed(BaseModel):
    message: str
    until: str = ""
    env: str = PRODUCTION


class Networks(BaseModel):
    env: str = PRODUCTION
    add: list[str] = []
    remove: list[str] = []


class Secret(BaseModel):
    password: str
    env: str


@router.put("/sites/{site}/maintenance")
def close(ctx: Ctx, who: Who, site: ThisSite, body: Closed) -> shapes.Environment:
    """Answer 503 with a message to every visitor of an environment; `until` tells them when to come back."""
    return views.environment(ctx, door.maintenance(ctx, who, site, body.env, body.message, body.until))


@router.delete("/sites/{site}/maintenance")
def reopen(ctx: Ctx, who: Who, site: ThisSite, env: str = PRODUCTION) -> shapes.Environment:
    """Serve again."""
    return views.environment(ctx, door.maintenance(ctx, who, site, env, None, ""))


@router.put("/sites/{site}/password")
def protect(ctx: Ctx, who: Who, site: ThisSite, body: Secret) -> shapes.Environment:
    """Ask every visitor of an environment for a password, with any user name."""
    return views.environment(ctx, door.password(ctx, who, site, body.env, body.password))


@router.delete("/sites/{site}/password")
def unprotect(ctx: Ctx, who: Who, site: ThisSite, env: str) -> shapes.Environment:
    """Ask for a password no more."""
    return views.environment(ctx, door.password(ctx, who, site, env, None))


@router.get("/sites/{site}/allow")
def allowed(ctx: Ctx, who: Who, site: ThisSite, env: str = PRODUCTION) -> shapes.Allowed:
    """Whose visits are answered; an empty list means everybody's."""
    return _allowed(*door.allowed(ctx, who, site, env))


@router.patch("/sites/{site}/allow")
def allow(ctx: Ctx, who: Who, site: ThisSite, body: Networks, expected: If) -> shapes.Allowed:
    """Add and remove addresses and networks; without the last one everybody may come again."""
    expect = expected.of(lambda: _allowed(*door.allowed(ctx, who, site, body.env)))
    return _allowed(*door.allow(ctx, who, site, body.env, body.add, body.remove, expect))


@router.get("/sites/{site}/environments")
def listing(
    ctx: Ctx, site: ThisSite, page: Paged, kind: str = "", before: str = ""
) -> list[shapes.Environment]:
    """The environments of a site, newest first; `kind` is production, named or preview, `before` the name of the last
    one already seen.
    """
    found = environments.listing(ctx, site, kind, before=before, limit=page.enough)
    return [views.environment(ctx, one) for one in page.of(found, lambda one: one.name)]


@router.post("/sites/{site}/previews/{branch:path}/extend")
def extend(ctx: Ctx, who: Who, site: ThisSite, branch: str, body: Time) -> shapes.Environment:
    """Let a preview live for `ttl` from now; `0s` as long as its branch."""
    seconds = units.parse_duration(body.ttl)
    return views.environment(ctx, environments.extend(ctx, who, site, branch, seconds))


@router.delete("/sites/{site}/previews/{branch:path}")
def remove(ctx: Ctx, who: Who, site: ThisSite, branch: str) -> shapes.Removed:
    """Take a preview away; its branch stays."""
    environments.remove(ctx, who, site, branch)
    return {"removed": branch}


def _allowed(where: Environment, networks: tuple[Network, ...]) -> shapes.Allowed:
    return {"env": where.name, "networks": [str(one) for one in networks]}
