"""The first run: whoever has the code that the server printed becomes its admin."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response

from gitdeploy.errors import GitdeployError, Refused
from gitdeploy.service import access
from gitdeploy.service import session as sessions
from gitdeploy.web.api.asking import Ctx
from gitdeploy.web.first_run import FirstRun
from gitdeploy.web.pages import page
from gitdeploy.web.pages.asking import Posted
from gitdeploy.web.pages.session import address_of, give_cookie
from gitdeploy.web.route import unlisted

router = unlisted()


@router.get("/setup")
def ask(request: Request, code: str = "") -> Response:
    first: FirstRun = request.app.state.first_run
    if not first.code:
        return page.led("sign-in")
    return page.shown(request, "setup.html", title="Set up this server", code=code, name="", error=None)


@router.post("/setup")
def make(request: Request, ctx: Ctx, form: Posted) -> Response:
    """The token is on this page and nowhere else."""
    first: FirstRun = request.app.state.first_run
    request.app.state.lockout.check(address_of(request))
    name, code = form.get("name"), form.get("code")
    try:
        if not first.is_right(code):
            request.app.state.lockout.wrong(address_of(request))
            raise Refused(
                "This is not the code.", "It stands in the output of the server, and is new at each start."
            )
        secret = access.first_admin(ctx, name)
    except GitdeployError as error:
        return page.shown(
            request, "setup.html", title="Set up this server", code=code, name=name, error=error,
            status=error.http_status,
        )  # fmt: skip
    _, cookie = sessions.open(ctx, secret, request.headers.get("user-agent", ""))
    answer = page.shown(request, "first_token.html", title="Your token", name=name, secret=secret)
    return give_cookie(request, answer, cookie)
