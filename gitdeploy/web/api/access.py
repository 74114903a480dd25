from __future__ import annotations

import dataclasses
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from gitdeploy.domain import units
from gitdeploy.domain.access import Key, Token
from gitdeploy.domain.role import EVERY_SITE, Role
from gitdeploy.service import access, who_can
from gitdeploy.service.context import Context
from gitdeploy.web.api.asking import Ctx, ThisSite, Who

router = APIRouter(tags=["access"])


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
def listing(ctx: Ctx, who: Who, site: str = "") -> list[dict[str, Any]]:
    """Who holds which role where; with `site` who can change that one."""
    return [dataclasses.asdict(one) for one in access.grants(ctx, who, site)]


@router.post("/access", status_code=201)
def grant(ctx: Ctx, who: Who, body: NewGrant) -> dict[str, Any]:
    """Give an actor a role, in place of the one held there; with `env`, a pattern, in these environments alone."""
    return dataclasses.asdict(access.grant(ctx, who, body.actor, Role.parse(body.role), body.site, body.env))


@router.delete("/access/{actor}")
def revoke(ctx: Ctx, who: Who, actor: str, site: str = EVERY_SITE, env: str = "") -> dict[str, Any]:
    """Take an actor's role away, as it was given."""
    access.revoke(ctx, who, actor, site, env)
    return {"revoked": actor, "site": site, "env": env}


@router.get("/sites/{site}/access/{env:path}")
def change(ctx: Ctx, who: Who, site: ThisSite, env: str) -> dict[str, Any]:
    """Who can change an environment, and through what: grants, tokens, keys; and how many others have to approve."""
    return who_can.change(ctx, who, site, env)


@router.get("/tokens")
def tokens(ctx: Ctx, who: Who) -> list[dict[str, Any]]:
    """The tokens, never their secrets."""
    return [_said(ctx, one) for one in access.tokens(ctx, who)]


@router.post("/tokens", status_code=201)
def create_token(ctx: Ctx, who: Who, body: NewToken) -> dict[str, Any]:
    """The secret is in this answer and nowhere else. With `sites` or `role` it may no more than that."""
    seconds = units.parse_duration(body.expires) if body.expires else 0
    row, secret = access.create_token(ctx, who, body.actor, seconds=seconds, sites=body.sites, role=body.role)
    return {**_said(ctx, row), "token": secret}


@router.delete("/tokens/{id}")
def revoke_token(ctx: Ctx, who: Who, id: str) -> dict[str, Any]:
    """Let a token count no more, at once."""
    return _said(ctx, access.revoke_token(ctx, who, id))


@router.get("/keys")
def keys(ctx: Ctx, who: Who) -> list[dict[str, Any]]:
    """The public SSH keys."""
    return [_said(ctx, one) for one in access.keys(ctx, who)]


@router.post("/keys", status_code=201)
def add_key(ctx: Ctx, who: Who, body: NewKey) -> dict[str, Any]:
    """Let a public SSH key stand for an actor. With `sites` or `role` it may no more than that."""
    made = access.add_key(ctx, who, body.actor, body.key, sites=body.sites, role=body.role)
    return _said(ctx, made)


@router.delete("/keys/{id}")
def remove_key(ctx: Ctx, who: Who, id: str) -> dict[str, Any]:
    """Forget an SSH key."""
    access.remove_key(ctx, who, id)
    return {"removed": id}


def _said(ctx: Context, row: Token | Key) -> dict[str, Any]:
    told = {name: value for name, value in dataclasses.asdict(row).items() if name != "hash"}
    return {**told, "sites": access.sites_of(ctx, row)}
