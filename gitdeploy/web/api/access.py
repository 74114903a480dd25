from __future__ import annotations

from pydantic import BaseModel

from gitdeploy.domain import units
from gitdeploy.domain.access import Grant, Key, Token
from gitdeploy.domain.role import EVERY_SITE, Role
from gitdeploy.service import access, who_can
from gitdeploy.service.context import Context
from gitdeploy.service.who_can import WhoCan
from gitdeploy.web.api.asking import Ctx, ThisSite, Who
from gitdeploy.web.api.paging import Paged
from gitdeploy.web.api.route import noun
from gitdeploy.web.shapes import server as shapes
from gitdeploy.web.shapes.sites import Removed

router = noun("access")


class NewGrant(BaseModel):
    actor: str
    role: str
    site: str = EVERY_SITE
    env: str = ""


class Limits(BaseModel):
    sites: list[str] = []
    role: str = ""


class NewToken(Limits):
    actor: str
    expires: str = ""


class NewKey(Limits):
    actor: str
    key: str


@router.get("/access")
def listing(ctx: Ctx, who: Who, page: Paged, site: str = "", after: str = "") -> list[Grant]:
    """Who holds which role where; with `site` who can change that one. `after` is `actor site env` of the last one
    already seen.
    """
    found = access.grants(ctx, who, site, after=after, limit=page.enough)
    return page.of(found, lambda one: f"{one.actor} {one.site} {one.env}", "after")


@router.post("/access", status_code=201)
def grant(ctx: Ctx, who: Who, body: NewGrant) -> Grant:
    """Give an actor a role, in place of the one held there; with `env`, a pattern, in these environments alone."""
    return access.grant(ctx, who, body.actor, Role.parse(body.role), body.site, body.env)


@router.delete("/access/{actor}")
def revoke(ctx: Ctx, who: Who, actor: str, site: str = EVERY_SITE, env: str = "") -> shapes.Revoked:
    """Take an actor's role away, as it was given."""
    access.revoke(ctx, who, actor, site, env)
    return {"revoked": actor, "site": site, "env": env}


@router.get("/sites/{site}/access/{env:path}")
def change(ctx: Ctx, who: Who, site: ThisSite, env: str) -> WhoCan:
    """Who can change an environment, and through what: grants, tokens, keys; and how many others have to approve."""
    return who_can.change(ctx, who, site, env)


@router.get("/tokens")
def tokens(ctx: Ctx, who: Who, page: Paged, before: str = "~") -> list[shapes.Token]:
    """The tokens, newest first, never their secrets; `before` is the id of the last one already seen."""
    found = access.tokens(ctx, who, before=before, limit=page.enough)
    return [_token(ctx, one) for one in page.of(found, lambda one: one.id)]


@router.post("/tokens", status_code=201)
def create_token(ctx: Ctx, who: Who, body: NewToken) -> shapes.MadeToken:
    """The secret is in this answer and nowhere else. With `sites` or `role` it may no more than that."""
    seconds = units.parse_duration(body.expires) if body.expires else 0
    row, secret = access.create_token(ctx, who, body.actor, seconds=seconds, sites=body.sites, role=body.role)
    return {**_token(ctx, row), "token": secret}


@router.delete("/tokens/{id}")
def revoke_token(ctx: Ctx, who: Who, id: str) -> shapes.Token:
    """Let a token count no more, at once."""
    return _token(ctx, access.revoke_token(ctx, who, id))


@router.get("/keys")
def keys(ctx: Ctx, who: Who, page: Paged, before: str = "~") -> list[shapes.Key]:
    """The public SSH keys, newest first; `before` is the id of the last one already seen."""
    found = access.keys(ctx, who, before=before, limit=page.enough)
    return [_key(ctx, one) for one in page.of(found, lambda one: one.id)]


@router.post("/keys", status_code=201)
def add_key(ctx: Ctx, who: Who, body: NewKey) -> shapes.Key:
    """Let a public SSH key stand for an actor. With `sites` or `role` it may no more than that."""
    made = access.add_key(ctx, who, body.actor, body.key, sites=body.sites, role=body.role)
    return _key(ctx, made)


@router.delete("/keys/{id}")
def remove_key(ctx: Ctx, who: Who, id: str) -> Removed:
    """Forget an SSH key."""
    access.remove_key(ctx, who, id)
    return {"removed": id}


def _token(ctx: Context, row: Token) -> shapes.Token:
    return {
        "id": row.id, "actor": row.actor, "created_at": row.created_at, "expires_at": row.expires_at,
        "revoked_at": row.revoked_at, "used_at": row.used_at, "sites": access.sites_of(ctx, row), "role": row.role,
    }  # fmt: skip


def _key(ctx: Context, row: Key) -> shapes.Key:
    return {
        "id": row.id, "actor": row.actor, "kind": row.kind, "body": row.body, "comment": row.comment,
        "created_at": row.created_at, "used_at": row.used_at, "sites": access.sites_of(ctx, row), "role": row.role,
    }  # fmt: skip
