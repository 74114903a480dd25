"""What every page asks first: whose session is it, which site; and of a form, whether one of our pages sent it."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import parse_qs, urlsplit

from fastapi import Depends, Request

from gitdeploy.domain.role import EVERY_SITE, Actor, Role
from gitdeploy.domain.session import Session
from gitdeploy.domain.site import Site
from gitdeploy.errors import Invalid, Refused
from gitdeploy.service import session as sessions
from gitdeploy.web.api import asking
from gitdeploy.web.api.asking import Ctx, Unknown

_COOKIE = "gitdeploy_session"
_FIELDS = 400
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Visit:
    """Somebody who is signed in. `csrf` is what every form of this session carries."""

    actor: Actor
    session: Session
    csrf: str

    def may(self, role: str, site: str = EVERY_SITE) -> bool:
        held = self.actor.role(site)
        return held is not None and held >= Role.parse(role)


@dataclass(frozen=True)
class Form:
    """The fields of a form, as text without space around it."""

    _fields: dict[str, list[str]] = field(default_factory=dict)

    def get(self, name: str) -> str:
        return self._fields.get(name, [""])[0].strip()

    def raw(self, name: str) -> str:
        """As it was typed, with the line ends of Unix."""
        return self._fields.get(name, [""])[0].replace("\r\n", "\n")

    def all(self, name: str) -> list[str]:
        return self._fields.get(name, [])

    def ticked(self, name: str) -> bool:
        return bool(self.get(name))


def cookie_name(request: Request) -> str:
    """Over HTTPS no other host and no page without TLS can set it (RFC 6265bis, 4.1.3)."""
    return f"__Host-{_COOKIE}" if request.url.scheme == "https" else _COOKIE


def visit(request: Request, ctx: Ctx) -> Visit:
    """Raises Unknown for nobody."""
    cookie = request.cookies.get(cookie_name(request), "")
    if not cookie:
        raise Unknown("You are not signed in.", "Sign in with your token.")
    try:
        session, actor = sessions.find(ctx, cookie)
    except Refused as error:
        raise Unknown(error.message, error.hint) from None
    found = Visit(actor, session, hmac.new(cookie.encode(), b"csrf", hashlib.sha256).hexdigest())
    request.state.visit = found
    return found


Seen = Annotated[Visit, Depends(visit)]


async def form(request: Request) -> Form:
    """A form that no other site's page has sent. Raises Refused, Invalid."""
    origin = request.headers.get("origin")
    fetched = request.headers.get("sec-fetch-site", "same-origin")
    foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    if foreign or fetched not in ("same-origin", "none"):
        raise Refused("This form was sent by a page of another site.", "Open the page here, and try again.")
    if request.headers.get("content-type", "").partition(";")[0].strip() != FORM:
        raise Invalid("This is not a form.", "The API is at /v1.")
    text = (await request.body()).decode("utf-8", "replace")
    try:
        return Form(parse_qs(text, keep_blank_values=True, max_num_fields=_FIELDS))
    except ValueError:
        raise Invalid(f"A form has at most {_FIELDS} fields.", "Send less at once.") from None


Posted = Annotated[Form, Depends(form)]


def signed(request: Request, visit: Seen, sent: Posted) -> Form:
    """A form of this very session, at a human pace. Raises Refused, TooMany."""
    if not hmac.compare_digest(sent.get("csrf").encode(), visit.csrf.encode()):
        raise Refused(
            "This form is not of your session: it may be from before you signed in.",
            "Reload the page, and try again.",
        )
    request.app.state.pace.take(visit.session.id)
    return sent


Sent = Annotated[Form, Depends(signed)]
SENT = [Depends(signed)]
"""For a form whose fields nobody reads."""


def site(ctx: Ctx, visit: Seen, site: str) -> Site:
    return asking.site(ctx, visit.actor, site)


ThisSite = Annotated[Site, Depends(site)]
