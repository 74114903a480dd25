"""Who may do what: one's own tokens and browsers; for admins everybody's roles, tokens and keys."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response

from gitdeploy.domain import units
from gitdeploy.domain.role import EVERY_SITE, Role
from gitdeploy.service import access
from gitdeploy.service import session as sessions
from gitdeploy.web.api.asking import Ctx
from gitdeploy.web.pages import page
from gitdeploy.web.pages.asking import Seen, Sent
from gitdeploy.web.route import unlisted

router = unlisted()
_SHOWN = 100


@router.get("/access")
def show(
    request: Request, ctx: Ctx, visit: Seen, grants: str = "", tokens: str = "~", keys: str = "~"
) -> Response:
    """Of each list the page that begins after what was seen last."""
    who = visit.actor
    is_admin = visit.may("admin")
    enough = _SHOWN + 1
    held = access.grants(ctx, who, after=grants, limit=enough) if is_admin else []
    made = access.tokens(ctx, who, before=tokens, limit=enough, counting=True) if is_admin else []
    added = access.keys(ctx, who, before=keys, limit=enough) if is_admin else []
    more = {
        "grants": [f"{one.actor} {one.site} {one.env}" for one in held][_SHOWN - 1 : -1],
        "tokens": [one.id for one in made][_SHOWN - 1 : -1],
        "keys": [one.id for one in added][_SHOWN - 1 : -1],
    }
    return page.shown(
        request, "access.html", title="Access", is_admin=is_admin, own=access.own_tokens(ctx, who),
        browsers=sessions.listing(ctx, who), roles=[str(one) for one in Role], every_site=EVERY_SITE,
        grants=held[:_SHOWN], tokens=made[:_SHOWN], keys=added[:_SHOWN],
        is_first={"grants": not grants, "tokens": tokens == "~", "keys": keys == "~"},
        next={name: page.url("access", **{name: last[0]}) if last else "" for name, last in more.items()},
    )  # fmt: skip


@router.post("/access")
def grant(ctx: Ctx, visit: Seen, form: Sent) -> Response:
    site = form.get("site") or EVERY_SITE
    access.grant(ctx, visit.actor, form.get("actor"), Role.parse(form.get("role")), site)
    return page.led("access", done="granted")


@router.post("/access/revoke")
def revoke(ctx: Ctx, visit: Seen, form: Sent) -> Response:
    access.revoke(ctx, visit.actor, form.get("actor"), form.get("site"), form.get("env"))
    return page.led("access", done="revoked")


@router.post("/tokens")
def create_token(request: Request, ctx: Ctx, visit: Seen, form: Sent) -> Response:
    """The secret is on this page and nowhere else."""
    ttl = form.get("ttl")
    name = form.get("actor") or visit.actor.name
    _, secret = access.create_token(ctx, visit.actor, name, seconds=units.parse_duration(ttl) if ttl else 0)
    return page.shown(request, "new_token.html", title="New token", name=name, secret=secret)


@router.post("/tokens/revoke")
def revoke_token(ctx: Ctx, visit: Seen, form: Sent) -> Response:
    access.revoke_token(ctx, visit.actor, form.get("id"))
    return page.led("access", done="revoked")


@router.post("/keys")
def add_key(ctx: Ctx, visit: Seen, form: Sent) -> Response:
    access.add_key(ctx, visit.actor, form.get("actor"), form.get("key"))
    return page.led("access", done="added")


@router.post("/keys/remove")
def remove_key(ctx: Ctx, visit: Seen, form: Sent) -> Response:
    access.remove_key(ctx, visit.actor, form.get("id"))
    return page.led("access", done="removed")
