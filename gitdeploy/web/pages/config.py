"""Variables and secrets: a change is a release of each app that sees it."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import Response

from gitdeploy.domain.config import Variable
from gitdeploy.service import release as releases
from gitdeploy.service.teller import Teller
from gitdeploy.web.api.asking import Ctx
from gitdeploy.web.pages import page
from gitdeploy.web.pages.asking import Seen, Sent, ThisSite
from gitdeploy.web.route import unlisted

router = unlisted()


@router.post("/sites/{site}/config")
def change(request: Request, ctx: Ctx, visit: Seen, site: ThisSite, form: Sent) -> Response:
    """Set one variable, or with `unset` forget it."""
    scope, name = form.get("env"), form.get("name")
    is_gone = form.ticked("unset")
    put = {} if is_gone else {name: Variable(form.raw("value"), form.ticked("secret"))}
    back = page.url("sites", site.name, "settings")

    def run(teller: Teller) -> dict[str, Any]:
        made, live = releases.configure(ctx, visit.actor, site, scope, put, [name] if is_gone else [], teller)
        running = ", ".join(one.name for one in live)
        says = f"{made.env} has the configuration c{made.number}" + (f", as {running}." if running else ".")
        return {"says": says, "go": back, "label": "Back to the settings"}

    return page.carried(request, site, "settings", f"Configuration of {scope}", run, back)
