"""Letting a command line elsewhere in: its code is typed, what it asks for is shown, and somebody says yes or no."""

from __future__ import annotations

from fastapi import Depends, Request
from fastapi.responses import Response

from gitdeploy.errors import GitdeployError, NotFound
from gitdeploy.service.login import Logins
from gitdeploy.web.pages import page
from gitdeploy.web.pages.asking import Form, Seen, Sent, Visit, visit
from gitdeploy.web.route import unlisted

router = unlisted()
_TITLE = "Let a command line in"


@router.get("/login", dependencies=[Depends(visit)])
def ask(request: Request) -> Response:
    """No address carries a code: who was sent a link has to have seen the terminal too."""
    return page.shown(request, "login.html", title=_TITLE, error=None, login=None, answered="")


@router.post("/login")
def look(request: Request, seen: Seen, form: Sent) -> Response:
    """What waits under a code; with `do` the answer. Wrong codes lock their sender out, for longer each time."""
    logins: Logins = request.app.state.logins
    for who in _tried_by(request, seen):
        request.app.state.lockout.check(who)
    try:
        do = form.get("do")
        found = (
            logins.answer(seen.actor, form.get("code"), do == "allow")
            if do
            else logins.find(form.get("code"))
        )
    except GitdeployError as error:
        if isinstance(error, NotFound):
            for who in _tried_by(request, seen):
                request.app.state.lockout.wrong(who)
        return page.shown(
            request,
            "login.html",
            title=_TITLE,
            error=error,
            login=None,
            answered="",
            status=error.http_status,
        )
    for who in _tried_by(request, seen):
        request.app.state.lockout.right(who)
    return page.shown(
        request,
        "login.html",
        title=_TITLE,
        error=None,
        login=found,
        answered=found.state if _said(form) else "",
    )


def _said(form: Form) -> bool:
    return form.get("do") in ("allow", "deny")


def _tried_by(request: Request, by: Visit) -> tuple[str, str]:
    address = request.client.host if request.client else ""
    return f"codes from {address}", f"codes of {by.actor.name}"
