from __future__ import annotations

from pydantic import BaseModel, Field

from gitdeploy.domain.names import PRODUCTION
from gitdeploy.service import freeze as freezes
from gitdeploy.service import history
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx, ThisSite, Who
from gitdeploy.web.api.route import noun
from gitdeploy.web.shapes import sites as shapes

router = noun("freezes")


class NewFreeze(BaseModel):
    begins: str = Field("", alias="from")
    until: str
    reason: str
    env: str = PRODUCTION


@router.get("/sites/{site}/freezes")
def listing(ctx: Ctx, site: ThisSite) -> shapes.Freezes:
    """`declared`: the windows that hold or are to come; `settings`: what gitdeploy.toml says, by environment; `now`:
    what holds at this moment, by environment, with its end.
    """
    settled, declared = freezes.settled(ctx, site), freezes.declared(ctx, site)
    names = {*settled, *(one.env for one in declared)}
    found = {name: freezes.holding(ctx, site, name) for name in sorted(names)}
    return {
        "declared": [views.freeze(one) for one in declared],
        "settings": {name: list(windows) for name, windows in settled.items()},
        "now": {
            name: {"until": one.end or None, "said": one.said}
            for name, one in found.items()
            if one is not None
        },
    }


@router.post("/sites/{site}/freezes", status_code=201)
def add(ctx: Ctx, who: Who, site: ThisSite, body: NewFreeze) -> shapes.Freeze:
    """Let nothing go live in an environment, except a rollback, `from` a time (default: now) `until` another."""
    env = history.environment_of(ctx, site, body.env)
    return views.freeze(freezes.add(ctx, who, site, env, body.begins, body.until, body.reason))


@router.delete("/sites/{site}/freezes/{freeze}")
def remove(ctx: Ctx, who: Who, site: ThisSite, freeze: str) -> shapes.Freeze:
    """End a declared freeze, or take it back."""
    return views.freeze(freezes.remove(ctx, who, site, freeze))
