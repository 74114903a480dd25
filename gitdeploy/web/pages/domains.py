"""Domains of a site's own."""

from __future__ import annotations

from fastapi.responses import Response

from gitdeploy.domain.domain_name import DomainName
from gitdeploy.service import domain as domains
from gitdeploy.web.api.asking import Ctx
from gitdeploy.web.pages import page
from gitdeploy.web.pages.asking import Seen, Sent, ThisSite
from gitdeploy.web.route import unlisted

router = unlisted()


@router.post("/sites/{site}/domains")
def add(ctx: Ctx, visit: Seen, site: ThisSite, form: Sent) -> Response:
    domains.add(ctx, visit.actor, site, DomainName.parse(form.get("domain")), form.get("env"))
    return page.led("sites", site.name, "settings", done="added")


@router.post("/sites/{site}/domains/remove")
def remove(ctx: Ctx, visit: Seen, site: ThisSite, form: Sent) -> Response:
    domains.remove(ctx, visit.actor, site, DomainName.parse(form.get("domain")))
    return page.led("sites", site.name, "settings", done="removed")
