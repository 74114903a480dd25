"""Signing in with a token, and out."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from gitdeploy.errors import Refused
from gitdeploy.service import session as sessions
from gitdeploy.web.api.asking import Ctx
from gitdeploy.web.first_run import FirstRun
from gitdeploy.web.pages import page
from gitdeploy.web.pages.asking import Posted, Seen, Sent, cookie_name
from gitdeploy.web.route import unlisted

router = unlisted()


@router.get("/sign-in")
def ask(request: Request, next: str = "") -> Response:
    first: FirstRun = request.app.state.first_run
    return page.shown(
        request, "sign_in.html", title="Sign in", next=next, error=None, is_first_run=bool(first.code)
    )


@router.post("/sign-in")
def sign_in(request: Request, ctx: Ctx, form: Posted) -> Response:
    request.app.state.lockout.check(address_of(request))
    try:
        _, cookie = sessions.open(ctx, form.get("token"), request.headers.get("user-agent", ""))
    except Refused as error:
        request.app.state.lockout.wrong(address_of(request))
        return page.shown(
            request, "sign_in.html", title="Sign in", next=form.get("next"), error=error, status=403,
            is_first_run=False,
        )  # fmt: skip
    request.app.state.lockout.right(address_of(request))
    return give_cookie(request, RedirectResponse(_own(form.get("next")), 303), cookie)


@router.post("/sign-out")
def sign_out(request: Request, ctx: Ctx, visit: Seen, form: Sent) -> Response:
    """This browser, or another of the same person."""
    id = form.get("session") or visit.session.id
    sessions.close(ctx, visit.actor, id)
    if id != visit.session.id:
        return page.led("access", done="removed")
    answer = page.led("sign-in", done="signed-out")
    answer.delete_cookie(cookie_name(request), secure=request.url.scheme == "https", httponly=True)
    return answer


def address_of(request: Request) -> str:
    return request.client.host if request.client else ""


def give_cookie(request: Request, answer: Response, cookie: str) -> Response:
    answer.set_cookie(
        cookie_name(request), cookie, max_age=sessions.LIFETIME, httponly=True, samesite="lax",
        secure=request.url.scheme == "https",
    )  # fmt: skip
    return answer


def _own(path: str) -> str:
    """A page of this server, whatever an address asked for."""
    is_own = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_own else "/"
