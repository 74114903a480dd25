from __future__ import annotations

from pydantic import BaseModel

from gitdeploy.domain.domain_name import DomainName
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.errors import Invalid
from gitdeploy.service import domain as domains
from gitdeploy.service.domain import SiteDomain
from gitdeploy.store.certificates import Certificate
from gitdeploy.web.api.asking import Ctx, ThisSite, Who
from gitdeploy.web.api.paging import Paged
from gitdeploy.web.api.route import noun
from gitdeploy.web.shapes import sites as shapes

router = noun("domains")


class NewDomain(BaseModel):
    domain: str
    env: str = PRODUCTION
    cert: str = ""
    key: str = ""


@router.get("/sites/{site}/domains")
def listing(ctx: Ctx, site: ThisSite, page: Paged, after: str = "") -> list[SiteDomain]:
    """The domains of a site's own, `redirected` is the name that leads to one; `after` is the name of the last one
    already seen.
    """
    found = domains.listing(ctx, site, after=after, limit=page.enough)
    return [domains.describe(ctx, one) for one in page.of(found, lambda one: one.host, "after")]


@router.post("/sites/{site}/domains", status_code=201)
def add(ctx: Ctx, who: Who, site: ThisSite, body: NewDomain) -> SiteDomain:
    """Lead a domain to an environment; `cert` and `key` are PEM, for a certificate of one's own."""
    if bool(body.cert) != bool(body.key):
        raise Invalid("A certificate needs its key, and a key its certificate.", "Give both, or none.")
    own = Certificate.parse(body.cert, body.key) if body.cert else None
    return domains.describe(ctx, domains.add(ctx, who, site, DomainName.parse(body.domain), body.env, own))


@router.delete("/sites/{site}/domains/{domain}")
def remove(ctx: Ctx, who: Who, site: ThisSite, domain: str) -> shapes.Removed:
    """Let a domain answer no more."""
    name = DomainName.parse(domain)
    domains.remove(ctx, who, site, name)
    return {"removed": name}
