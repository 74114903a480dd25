"""Signing in a command line elsewhere, the way of RFC 8628: it shows a short code; somebody who is signed in on the
dashboard types that, sees who asks for what, and allows it; meanwhile the command line asks again and again.

    waiting -> allowed | denied -> gone
    waiting | allowed -> gone after ten minutes, or when the server stops
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from dataclasses import dataclass

from gitdeploy.domain.access import Token
from gitdeploy.domain.length import at_most
from gitdeploy.domain.role import EVERY_SITE, Actor, Role
from gitdeploy.errors import Busy, Invalid, NotFound, Refused
from gitdeploy.service import access
from gitdeploy.service.context import Context

LIFETIME = 600
"""Seconds in which it has to be allowed, and fetched."""
INTERVAL = 2
"""Seconds between two questions, at first; who asks sooner waits longer (RFC 8628, 3.5)."""
_SLOWER = 5
_MOST = 500  # that wait at once
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels, so no words; nothing that looks like a digit (RFC 8628, 6.1)
_LENGTH = 8
_HOST_MAX, _LONGEST = 80, 366 * 24 * 3600


@dataclass
class Login:
    """What somebody's command line asks for. `seconds` is how long its token is to live; `host` is what it says of
    itself, `address` where it was seen; `actor` has allowed it.
    """

    code: str
    host: str
    address: str
    sites: tuple[str, ...]
    role: str
    seconds: int
    begun: float
    interval: int = INTERVAL
    asked: float = 0.0
    state: str = "waiting"
    actor: str = ""

    @property
    def left(self) -> float:
        """Seconds until it is gone."""
        return self.begun + LIFETIME - time.monotonic()


class Logins:
    """Those that wait; a restart of the server forgets them. Only hashes of what command lines hold are kept."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._lock = threading.Lock()
        self._waiting: dict[str, Login] = {}

    def begin(
        self, host: str, address: str, sites: tuple[str, ...], role: str, seconds: int
    ) -> tuple[str, Login]:
        """A secret for the command line to ask with, and the login. Raises Invalid, Busy."""
        at_most(_HOST_MAX, "The name of the host", host)
        if not 0 < seconds <= _LONGEST:
            raise Invalid("A login is good for a second to a year.", "Say: --expires 90d")
        if len(sites) > 20:
            raise Invalid("A login is for 20 sites at most.", "Name none, for all that you may.")
        secret = secrets.token_urlsafe(32)
        with self._lock:
            self._forget()
            if len(self._waiting) >= _MOST:
                raise Busy("Too many logins wait to be allowed.", "Try again in ten minutes.")
            one = Login(self._new_code(), host, address, sites, str(Role.parse(role)) if role else "", seconds,
                        time.monotonic())  # fmt: skip
            self._waiting[_hash(secret)] = one
        return secret, one

    def find(self, code: str) -> Login:
        """The one that waits under this code, however it was typed. Raises NotFound."""
        typed = "".join(one for one in code.upper() if one.isalnum())
        with self._lock:
            self._forget()
            for one in self._waiting.values():
                if one.state == "waiting" and secrets.compare_digest(
                    plain(one.code).encode(), typed.encode()
                ):
                    return one
        raise NotFound(
            "No command line waits under this code.",
            "Compare it with your terminal; it is good for ten minutes.",
        )

    def answer(self, actor: Actor, code: str, allowed: bool) -> Login:
        """Allow it in the name of `actor`, or deny it. Raises NotFound, and Refused for what they may not."""
        one = self.find(code)
        if allowed:
            self._refuse_more_than(actor, one)
        with self._lock:
            if one.state != "waiting":
                raise NotFound("This login was answered already.", "Begin again: gitdeploy login")
            one.actor, one.state = actor.name, "allowed" if allowed else "denied"
        self._ctx.event(
            f"login.{one.state}", actor=actor.name, subject=one.host,
            data={"address": one.address, "sites": list(one.sites), "role": one.role},
        )  # fmt: skip
        return one

    def poll(self, secret: str) -> tuple[str, Login, Token | None, str]:
        """`(state, login, token, its secret)`: `pending`, `slow_down` or `allowed`; the token is given once. Raises
        NotFound for what is over or never was, Refused when it was denied.
        """
        key, now = _hash(secret), time.monotonic()
        with self._lock:
            self._forget()
            one = self._waiting.get(key)
            if one is None:
                raise NotFound("This login is over.", "Begin again: gitdeploy login")
            soon, one.asked = one.asked and now - one.asked < one.interval, now
            if soon:
                one.interval += _SLOWER
            if one.state == "waiting":
                return ("slow_down" if soon else "pending"), one, None, ""
            del self._waiting[key]
        if one.state == "denied":
            raise Refused(f"{one.actor} has denied this login.", "Ask them, and begin again.")
        owner = access.by_name(self._ctx, one.actor)
        token, given = access.create_token(
            self._ctx, owner, owner.name, seconds=one.seconds, sites=one.sites, role=one.role
        )
        return "allowed", one, token, given

    # Private

    def _refuse_more_than(self, actor: Actor, one: Login) -> None:
        if actor.limited:
            actor.need(Role.ADMIN, EVERY_SITE, "sign in others")
        for site in one.sites:
            if actor.role(site) is None or self._ctx.ledger.sites.get(site) is None:
                raise NotFound(
                    f"There is no site {site[:40]!r}.", "Begin again with another: gitdeploy login --site"
                )

    def _new_code(self) -> str:
        known = {one.code for one in self._waiting.values()}
        while True:
            text = "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
            code = f"{text[:4]}-{text[4:]}"
            if code not in known:
                return code

    def _forget(self) -> None:
        self._waiting = {key: one for key, one in self._waiting.items() if one.left > 0}


def plain(code: str) -> str:
    return code.replace("-", "")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
