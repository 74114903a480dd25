"""Who can change an environment, and through what: roles, tokens and keys, as they are now."""

from __future__ import annotations

import contextlib

from typing_extensions import TypedDict

from gitdeploy.domain.access import Grant, Key, Token
from gitdeploy.domain.globs import matches
from gitdeploy.domain.role import EVERY_SITE, Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.errors import NotFound
from gitdeploy.service import access, approval, history
from gitdeploy.service.context import Context


class HeldGrant(TypedDict):
    site: str
    env: str
    role: str


class HeldToken(TypedDict):
    id: str
    expires_at: str | None
    used_at: str | None


class HeldKey(TypedDict):
    id: str
    comment: str
    used_at: str | None


class Person(TypedDict):
    actor: str
    role: str
    grants: list[HeldGrant]
    tokens: list[HeldToken]
    keys: list[HeldKey]


class WhoCan(TypedDict):
    """`approvals`: how many others have to approve."""

    env: str
    approvals: int
    people: list[Person]


def change(ctx: Context, actor: Actor, site: Site, env: str) -> WhoCan:
    """Everybody who may push to it, promote and roll
    back there, with the grants that say so, and the tokens and keys with which they can. Who reaches the files of the
    home may, too, and is not listed. An environment need not be there yet.
    """
    actor.need(Role.ADMIN, site.name, "see who may do what")
    with contextlib.suppress(NotFound):
        env = history.environment_of(ctx, site, env).name
    grants = ctx.ledger.grants.where(order="actor, site, env")
    people: list[Person] = []
    for name in dict.fromkeys(one.actor for one in grants):
        owner = access.by_name(ctx, name)
        role = owner.role(site.name, env)
        if role is None or role < Role.MAINTAINER:
            continue
        tokens = [one for one in ctx.ledger.tokens.where(actor=name, order="id") if access.counts(one)]
        keys = ctx.ledger.keys.where(actor=name, order="id")
        people.append({
            "actor": name, "role": str(role),
            "grants": [
                {"site": one.site, "env": one.env, "role": one.role}
                for one in grants if one.actor == name and _gives(one, site, env)
            ],
            "tokens": [
                {"id": one.id, "expires_at": one.expires_at, "used_at": one.used_at}
                for one in tokens if _reaches(ctx, owner, one, site, env)
            ],
            "keys": [
                {"id": one.id, "comment": one.comment, "used_at": one.used_at}
                for one in keys if _reaches(ctx, owner, one, site, env)
            ],
        })  # fmt: skip
    return {"env": env, "approvals": approval.needed(ctx, site.name, env), "people": people}


# Private


def _gives(one: Grant, site: Site, env: str) -> bool:
    here = one.site in (site.name, EVERY_SITE) and (not one.env or matches(one.env, env))
    return here and Role.parse(one.role) >= Role.MAINTAINER


def _reaches(ctx: Context, owner: Actor, by: Token | Key, site: Site, env: str) -> bool:
    held = access.limited(ctx, owner, by).role(site.name, env)
    return held is not None and held >= Role.MAINTAINER
