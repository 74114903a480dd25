from __future__ import annotations

from fastapi import Request
from pydantic import BaseModel

from gitdeploy.domain.names import SiteName
from gitdeploy.errors import Invalid
from gitdeploy.service import access_log
from gitdeploy.service import site as sites
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx, ThisSite, Who
from gitdeploy.web.api.route import noun
from gitdeploy.web.shapes import sites as shapes
from gitdeploy.web.stream import Text, text

router = noun("sites")


class Name(BaseModel):
    name: str


class Reason(BaseModel):
    reason: str


@router.get("/sites")
def listing(ctx: Ctx, who: Who, after: str = "", limit: int = 100) -> list[shapes.Site]:
    """The sites that the caller may see, by name; `after` is the name of the last one already seen."""
    found = sites.listing(ctx, who, after=after, limit=max(1, min(limit, 500)))
    return [views.site(ctx, one) for one in found]


@router.post("/sites", status_code=201)
def create(ctx: Ctx, who: Who, body: Name) -> shapes.Site:
    """Make a site: a bare repository to push to."""
    return views.site(ctx, sites.create(ctx, who, SiteName.parse(body.name)))


@router.get("/sites/{site}")
def show(ctx: Ctx, site: ThisSite) -> shapes.Site:
    """One site: remotes, addresses, what is live."""
    return views.site(ctx, site)


@router.patch("/sites/{site}")
def rename(ctx: Ctx, who: Who, site: ThisSite, body: Name) -> shapes.Site:
    """Give a site another name; its old addresses answer no more."""
    return views.site(ctx, sites.rename(ctx, who, site, SiteName.parse(body.name)))


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
def lock(ctx: Ctx, who: Who, site: ThisSite, body: Reason) -> shapes.Site:
    """Let nothing go live except a rollback, for a reason that whoever is refused will read. Previews go on."""
    if not body.reason.strip():
        raise Invalid("A lock needs a reason, which whoever is refused will read.", 'Say: --reason "…"')
    return views.site(ctx, sites.lock(ctx, who, site, body.reason.strip()[:1000]))


@router.delete("/sites/{site}/lock")
def unlock(ctx: Ctx, who: Who, site: ThisSite) -> shapes.Site:
    """Let releases go live again."""
    return views.site(ctx, sites.lock(ctx, who, site, ""))
