from __future__ import annotations

from fastapi import Request
from pydantic import BaseModel

from gitdeploy.domain.config import Variable
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.role import Role
from gitdeploy.domain.site import Site
from gitdeploy.service import config
from gitdeploy.service import release as releases
from gitdeploy.service.context import Context
from gitdeploy.service.teller import Teller
from gitdeploy.web.api.asking import Ctx, ThisSite, Who
from gitdeploy.web.api.conditional import If
from gitdeploy.web.api.route import noun
from gitdeploy.web.shapes import sites as shapes
from gitdeploy.web.stream import Told, told

router = noun("config")


class Setting(BaseModel):
    value: str
    secret: bool = False


class ConfigChange(BaseModel):
    env: str = PRODUCTION
    set: dict[str, Setting] = {}
    unset: list[str] = []


@router.get("/sites/{site}/config")
def show(ctx: Ctx, who: Who, site: ThisSite, env: str = PRODUCTION) -> shapes.Config:
    """The newest configuration of an environment; the value of a secret is null, always."""
    who.need(Role.DEVELOPER, site.name, "see its configuration")
    return _shown(ctx, site, env)


@router.patch("/sites/{site}/config")
def change(
    ctx: Ctx, who: Who, site: ThisSite, request: Request, body: ConfigChange, expected: If
) -> Told[shapes.Configured]:
    """Set and unset variables in one step: one new version, and a release of each app that sees it."""
    put = {name: Variable(one.value, one.secret) for name, one in body.set.items()}

    expect = expected.of(lambda: _shown(ctx, site, body.env))

    def run(teller: Teller) -> shapes.Configured:
        made, live = releases.configure(ctx, who, site, body.env, put, body.unset, teller, expect)
        return {"env": made.env, "version": f"c{made.number}", "releases": [one.name for one in live]}

    return told(ctx, request, run)


def _shown(ctx: Context, site: Site, env: str) -> shapes.Config:
    newest = config.newest(ctx, site.name, env)
    variables: dict[str, shapes.Variable] = {
        name: {"value": None if one.secret else one.value, "secret": one.secret}
        for name, one in config.values(ctx, newest).items()
    }
    return {"env": env, "version": f"c{newest.number}" if newest else None, "variables": variables}
