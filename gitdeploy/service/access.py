"""Who is asking, and what they may do."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import secrets
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from gitdeploy.domain.access import Grant, Key, Token
from gitdeploy.domain.names import ActorName
from gitdeploy.domain.role import EVERY_SITE, Actor, Part, Role
from gitdeploy.errors import Busy, Failed, Invalid, NotFound, Refused
from gitdeploy.service.context import Context
from gitdeploy.store import clock, durable, ids

PREFIX = "gd_live_"
_KEY_KINDS = (
    "ssh-ed25519", "sk-ssh-ed25519@openssh.com", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521", "sk-ecdsa-sha2-nistp256@openssh.com", "ssh-rsa",
)  # fmt: skip


def by_token(ctx: Context, secret: str) -> Actor:
    """Whose token this is. Raises Refused, saying why, for one that is unknown, revoked or expired."""
    found = token(ctx, secret)
    return limited(ctx, by_name(ctx, found.actor), found)


def token(ctx: Context, secret: str) -> Token:
    """The token of this secret, which is used now. Raises Refused as `by_token` does."""
    hint = "Make one on the server with: gitdeploy token create ACTOR"
    found = ctx.ledger.tokens.one(hash=_hash(secret)) if secret.startswith(PREFIX) else None
    if found is None:
        raise Refused("This token is not known here.", hint)
    if found.revoked_at is not None:
        raise Refused(f"This token of {found.actor} was revoked.", hint)
    if not counts(found):
        raise Refused(f"This token of {found.actor} expired at {found.expires_at}.", hint)
    if _worth_noting(found):
        with contextlib.suppress(Failed):  # a full disk keeps nobody from fetching
            ctx.ledger.tokens.change(found, used_at=clock.now())
    return found


def counts(token: Token) -> bool:
    """Neither revoked nor expired."""
    return token.revoked_at is None and (token.expires_at is None or token.expires_at > clock.now())


def by_key(ctx: Context, id: str) -> Actor:
    found = ctx.ledger.keys.get(id)
    if found is None:
        raise Refused("This SSH key is not known here any more.", "Add it with: gitdeploy key add ACTOR")
    if _worth_noting(found):
        with contextlib.suppress(Failed):
            ctx.ledger.keys.change(found, used_at=clock.now())
    return limited(ctx, by_name(ctx, found.actor), found)


def by_name(ctx: Context, name: str) -> Actor:
    held = [(one, Role.parse(one.role)) for one in ctx.ledger.grants.where(actor=name)]
    return Actor(
        name,
        tuple((one.site, role) for one, role in held if not one.env),
        tuple(Part(one.site, one.env, role) for one, role in held if one.env),
    )


def limited(ctx: Context, owner: Actor, by: Token | Key) -> Actor:
    """What `owner` may who came with a token or key."""
    return owner.within(sites_of(ctx, by), Role.parse(by.role) if by.role else None)


def sites_of(ctx: Context, by: Token | Key) -> list[str]:
    """The names of the sites that it is limited to; of one that was removed its id, which is no site's name."""
    found = {id: ctx.ledger.sites.one(id=id) for id in by.sites.split()}
    return [site.name if site else id for id, site in found.items()]


def grant(ctx: Context, actor: Actor, name: str, role: Role, site: str = EVERY_SITE, env: str = "") -> Grant:
    """Give `name` a role, in place of the one they held there; with `env`, a pattern, in these environments alone.
    Nobody gives more than they have.
    """
    actor.need(max(Role.ADMIN, role), site, "change who may do what")
    if site != EVERY_SITE:
        ctx.site(site)
    if env and (len(env) > 200 or not env.isprintable() or role == Role.ADMIN):
        raise Invalid(
            f"{role} of {env[:40]!r} cannot be granted.",
            "Name an environment, or a pattern such as 'feature/*'; an admin is one of a whole site.",
        )
    row = Grant(ActorName.parse(name), site, str(role), env)
    with ctx.ledger.atomic():
        if (old := ctx.ledger.grants.get(name, site, env)) is not None:
            ctx.ledger.grants.remove(old)
        ctx.ledger.grants.add(row)
        ctx.event("access.granted", actor=actor.name, site=site, subject=name,
                  data={"role": str(role), **({"env": env} if env else {})})  # fmt: skip
    return row


def revoke(ctx: Context, actor: Actor, name: str, site: str = EVERY_SITE, env: str = "") -> None:
    actor.need(Role.ADMIN, site, "change who may do what")
    found = ctx.ledger.grants.get(name, site, env)
    if found is None:
        where = f"{env} of {site}" if env else site
        raise NotFound(f"{name} was granted no role on {where}.", "See: gitdeploy access list")
    with ctx.ledger.atomic():
        ctx.ledger.grants.remove(found)
        ctx.event("access.revoked", actor=actor.name, site=site, subject=name)


def has_admin(ctx: Context) -> bool:
    """Whether anybody is admin of every site: whoever can open the unix socket is none of them."""
    return ctx.ledger.grants.one(site=EVERY_SITE, role=str(Role.ADMIN), env="") is not None


def first_admin(ctx: Context, name: str) -> str:
    """Make the first admin, and return the secret of a token of theirs. Raises Refused when there is one already."""
    who = Actor(ActorName.parse(name), ((EVERY_SITE, Role.ADMIN),))
    with ctx.ledger.atomic():
        if has_admin(ctx):
            raise Refused("This server has an admin already.", "Ask them for a role and a token.")
        grant(ctx, who, name, Role.ADMIN)
        return create_token(ctx, who, name)[1]


def grants(ctx: Context, actor: Actor, site: str = "", *, after: str = "", limit: int = -1) -> list[Grant]:
    """By actor, site and environment, as `after` has them of the last one already seen."""
    actor.need(Role.ADMIN, site or EVERY_SITE, "see who may do what")
    seen = [*after.split(" ", 2), "", ""][:3]
    where: dict[str, Any] = {"site": (site, EVERY_SITE)} if site else {}
    return ctx.ledger.grants.where(
        order="actor, site, env",
        limit=limit,
        sql="(actor, site, env) > (?, ?, ?)",
        given=tuple(seen),
        **where,
    )


def create_token(
    ctx: Context, actor: Actor, name: str, *, seconds: int = 0, sites: Sequence[str] = (), role: str = ""
) -> tuple[Token, str]:
    """A new token for `name`, and its secret, which is shown this once and never kept. With `sites` or `role` it may no
    more than that. Who came with a limited one makes none that may more.
    """
    if actor.name != name or actor.limited:
        actor.need(Role.ADMIN, EVERY_SITE, "make tokens for others")
    secret = PREFIX + secrets.token_urlsafe(24)
    expires = clock.later(seconds) if seconds else None
    with ctx.ledger.atomic():
        row = ctx.ledger.tokens.add(
            Token(
                ids.new("tok"),
                ActorName.parse(name),
                _hash(secret),
                clock.now(),
                expires,
                sites=_sites(ctx, sites),
                role=_ceiling(role),
            )
        )
        ctx.event("token.created", actor=actor.name, subject=row.id, data={"for": name})
    return row, secret


def tokens(
    ctx: Context, actor: Actor, *, before: str = "~", limit: int = -1, counting: bool = False
) -> list[Token]:
    """Newest first, all or those that count; `before` is the id of the last one already seen."""
    actor.need(Role.ADMIN, EVERY_SITE, "see tokens")
    test = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?)"
    sql, given = (f"id < ? AND {test}", (before, clock.now())) if counting else ("id < ?", (before,))
    return ctx.ledger.tokens.where(order="id DESC", limit=limit, sql=sql, given=given)


def own_tokens(ctx: Context, actor: Actor) -> list[Token]:
    """Those of one's own that count."""
    return [one for one in ctx.ledger.tokens.where(actor=actor.name, order="id DESC") if counts(one)]


def revoke_token(ctx: Context, actor: Actor, id: str) -> Token:
    found = ctx.ledger.tokens.get(id)
    if found is None:
        raise NotFound(f"There is no token {id[:40]!r}.", "See: gitdeploy token list")
    if actor.name != found.actor or actor.limited:
        actor.need(Role.ADMIN, EVERY_SITE, "revoke tokens of others")
    with ctx.ledger.atomic():
        ctx.event("token.revoked", actor=actor.name, subject=id)
        return ctx.ledger.tokens.change(found, revoked_at=clock.now())


def revoke_own(ctx: Context, secret: str) -> Token:
    """Let the token with this secret count no more, because whoever holds it says so. Raises Refused as `by_token`."""
    found = token(ctx, secret)
    with ctx.ledger.atomic():
        ctx.event("token.revoked", actor=found.actor, subject=found.id)
        return ctx.ledger.tokens.change(found, revoked_at=clock.now())


def add_key(
    ctx: Context, actor: Actor, name: str, line: str, *, sites: Sequence[str] = (), role: str = ""
) -> Key:
    """`line` is one line of an OpenSSH public key file: `ssh-ed25519 AAAA… comment`. With `sites` or `role` it may no
    more than that: a deploy key.
    """
    actor.need(Role.ADMIN, EVERY_SITE, "add keys")
    kind, body, comment = ([*line.split(maxsplit=2), "", "", ""])[:3]
    try:
        said = base64.b64decode(body, validate=True)
    except ValueError:  # letters that base64 does not have
        said = b""
    if kind not in _KEY_KINDS or said[4 : 4 + len(kind)] != kind.encode() or "\n" in comment.strip():
        raise Invalid(
            "This is not an SSH public key.", "Give the line of a file such as ~/.ssh/id_ed25519.pub"
        )
    if (old := ctx.ledger.keys.one(body=body)) is not None:
        raise Busy(
            f"This key belongs to {old.actor} already.", f"Remove it first: gitdeploy key remove {old.id}"
        )
    with ctx.ledger.atomic():
        key = Key(ids.new("key"), ActorName.parse(name), kind, body, comment.strip()[:100], clock.now(),
                  sites=_sites(ctx, sites), role=_ceiling(role))  # fmt: skip
        ctx.event("key.added", actor=actor.name, subject=key.id, data={"for": name})
        ctx.ledger.keys.add(key)
    write_authorized_keys(ctx)
    return key


def write_authorized_keys(ctx: Context) -> None:
    """`keys/authorized_keys` for sshd(8): each key may do one thing, which is to knock at our SSH door."""
    program = f"{shlex.quote(sys.executable)} -P -m gitdeploy --home {shlex.quote(str(ctx.home.root))} ssh"
    lines = []
    for key in ctx.ledger.keys.where(order="id"):
        command = f"{program} {key.id}".replace("\\", "\\\\").replace('"', '\\"')
        lines.append(f'restrict,command="{command}" {key.kind} {key.body} {key.actor}\n')
    durable.write_file(ctx.home.keys / "authorized_keys", "".join(lines).encode(), mode=0o600)


def keys(ctx: Context, actor: Actor, *, before: str = "~", limit: int = -1) -> list[Key]:
    """Newest first; `before` is the id of the last one already seen."""
    actor.need(Role.ADMIN, EVERY_SITE, "see keys")
    return ctx.ledger.keys.where(order="id DESC", limit=limit, sql="id < ?", given=(before,))


def remove_key(ctx: Context, actor: Actor, id: str) -> None:
    actor.need(Role.ADMIN, EVERY_SITE, "remove keys")
    found = ctx.ledger.keys.get(id)
    if found is None:
        raise NotFound(f"There is no key {id[:40]!r}.", "See: gitdeploy key list")
    with ctx.ledger.atomic():
        ctx.ledger.keys.remove(found)
        ctx.event("key.removed", actor=actor.name, subject=id)
    write_authorized_keys(ctx)


def _worth_noting(by: Token | Key) -> bool:
    """To the minute: not every request is worth a write."""
    return (by.used_at or "")[:16] != clock.now()[:16]


def _sites(ctx: Context, names: Sequence[str]) -> str:
    return " ".join(dict.fromkeys(ctx.site(name).id for name in names))


def _ceiling(role: str) -> str:
    return str(Role.parse(role)) if role else ""


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
