"""Sessions of browsers: opened with a token, and over as soon as the token is, or all rights of its owner are."""

from __future__ import annotations

import hashlib
import secrets

from gitdeploy.domain.role import Actor
from gitdeploy.domain.session import Session
from gitdeploy.errors import NotFound, Refused
from gitdeploy.service import access
from gitdeploy.service.context import Context
from gitdeploy.store import clock, ids

LIFETIME = 7 * 24 * 3600
"""Seconds after which somebody signs in again."""
_AGENT = 200  # characters of what a browser says of itself
_AGAIN = "Sign in again."


def open(ctx: Context, secret: str, agent: str) -> tuple[Session, str]:
    """A new session for who holds this token, and the secret of its cookie. Raises Refused for a token that does not
    count, and for somebody without any role.
    """
    token = access.token(ctx, secret)
    if not access.limited(ctx, access.by_name(ctx, token.actor), token).known:
        raise Refused(
            f"{token.actor} has no role here.",
            f"Ask an admin for: gitdeploy access grant {token.actor} viewer",
        )
    cookie = secrets.token_urlsafe(32)
    now = clock.now()
    with ctx.ledger.atomic():
        ctx.ledger.execute("DELETE FROM sessions WHERE expires_at <= ?", (now,))
        row = ctx.ledger.sessions.add(
            Session(
                ids.new("ses"),
                token.actor,
                token.id,
                _hash(cookie),
                now,
                clock.later(LIFETIME),
                agent[:_AGENT],
            )
        )
        ctx.event("session.opened", actor=token.actor, subject=row.id, data={"token": token.id})
    return row, cookie


def find(ctx: Context, cookie: str) -> tuple[Session, Actor]:
    """Whose cookie this is. Raises Refused once the session, its token or the last right of its owner is gone."""
    found = ctx.ledger.sessions.one(hash=_hash(cookie))
    if found is None or found.expires_at <= clock.now():
        raise Refused("This session is over.", _AGAIN)
    token = ctx.ledger.tokens.get(found.token)
    if token is None or not access.counts(token):
        raise Refused("The token of this session was revoked, or has expired.", _AGAIN)
    actor = access.limited(ctx, access.by_name(ctx, found.actor), token)
    if not actor.known:
        raise Refused(f"{found.actor} has no role here any more.", "Ask an admin for one.")
    return found, actor


def listing(ctx: Context, actor: Actor) -> list[Session]:
    """The open ones of an actor, newest first."""
    return ctx.ledger.sessions.where(
        actor=actor.name, order="id DESC", limit=100, sql="expires_at > ?", given=(clock.now(),)
    )


def close(ctx: Context, actor: Actor, id: str) -> None:
    """Sign a browser of one's own out."""
    found = ctx.ledger.sessions.get(id)
    if found is None or found.actor != actor.name:
        raise NotFound(f"{actor.name} has no session {id[:40]!r}.", "It may be over already.")
    with ctx.ledger.atomic():
        ctx.ledger.sessions.remove(found)
        ctx.event("session.closed", actor=actor.name, subject=id)


def _hash(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()
