from __future__ import annotations

from fastapi import Request
from pydantic import BaseModel

from gitdeploy.domain.names import SiteName
from gitdeploy.domain.site import Site
from gitdeploy.errors import Invalid
from gitdeploy.service import access_log
from gitdeploy.service import site as sites
from gitdeploy.service.context import Context
from gitdeploy.service.expectation import Expect
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx, ThisSite, Who
from gitdeploy.web.api.conditional import Expected, If
from gitdeploy.web.api.paging import Paged
from gitdeploy.web.api.route import noun
from gitdeploy.web.shapes import sites as shapes
from gitdeploy.web.stream import Text, text

router = noun("sites")


class Name(BaseModel):
    name: str


class Reason(BaseModel):
    reason: str


@router.get("/sites")
def listing(ctx: Ctx, who: Who, page: Paged, after: str = "") -> list[shapes.Site]:
    """The sites that the caller may see, by name; `after` is the name of the last one already seen."""
    found = sites.listing(ctx, who, after=after, limit=page.enough)
    return [views.site(ctx, one) for one in page.of(found, lambda one: one.name, "after")]


@router.post("/sites", status_code=201)
def create(ctx: Ctx, who: Who, body: Name) -> shapes.Site:
    """Make a site: a bare repository to push to."""
    return views.site(ctx, sites.create(ctx, who, SiteName.parse(body.name)))


@router.get("/sites/{site}")
def show(ctx: Ctx, site: ThisSite) -> shapes.Site:
    """One site: remotes, addresses, what is live."""
    return views.site(ctx, site)


@router.patch("/sites/{site}")
def rename(ctx: Ctx, who: Who, site: ThisSite, body: Name, expected: If) -> shapes.Site:
    """Give a site another name; its old addresses answer no more."""
    return views.site(
        ctx, sites.rename(ctx, who, site, SiteName.parse(body.name), _still(ctx, site, expected))
    )


@router.delete("/sites/{site}")
def remove(ctx: Ctx, who: Who, site: ThisSite, confirm: bool = False) -> shapes.Removed:
    """Delete a site with its repository and history; needs `confirm=true`."""
    sites.remove(ctx, who, site, confirmed=confirm)
    return {"removed": site.name}


@router.get("/sites/{site}/access-log")
def log(ctx: Ctx, who: Who, site: ThisSite, request: Request, limit: int = 100) -> Text:
    """The last `limit` visits, oldest first: one line of JSON a request."""
    lines = access_log.newest(ctx, who, site, max(1, min(limit, 10_000)))
    return text(request, (line + b"\n" for line in lines))


@router.put("/sites/{site}/lock")
def lock(ctx: Ctx, who: Who, site: ThisSite, body: Reason, expected: If) -> shapes.Site:
    """Let nothing go live except a rollback, for a reason that whoever is refused will read. Previews go on."""
    if not body.reason.strip():
        raise Invalid("A lock needs a reason, which whoever is refused will read.", 'Say: --reason "…"')
    expect = _still(ctx, site, expected)
    return views.site(ctx, sites.lock(ctx, who, site, body.reason.strip()[:1000], expect))


@router.delete("/sites/{site}/lock")
def unlock(ctx: Ctx, who: Who, site: ThisSite, expected: If) -> shapes.Site:
    """Let releases go live again."""
    return views.site(ctx, sites.lock(ctx, who, site, "", _still(ctx, site, expected)))


def _still(ctx: Context, site: Site, expected: Expected) -> Expect:
    return expected.of(lambda: views.site(ctx, ctx.site(site.name)))
