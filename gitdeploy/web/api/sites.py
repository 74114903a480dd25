from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel

from gitdeploy.domain.names import SiteName
from gitdeploy.errors import Invalid
from gitdeploy.service import access_log
from gitdeploy.service import site as sites
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx, ThisSite, Who

router = APIRouter(tags=["sites"])


class Name(BaseModel):
    name: str


class Reason(BaseModel):
    reason: str


@router.get("/sites")
def listing(ctx: Ctx, who: Who, after: str = "", limit: int = 100) -> list[dict[str, Any]]:
    """The sites that the caller may see, by name; `after` is the name of the last one already seen."""
    found = sites.listing(ctx, who, after=after, limit=max(1, min(limit, 500)))
    return [views.site(ctx, one) for one in found]


@router.post("/sites", status_code=201)
def create(ctx: Ctx, who: Who, body: Name) -> dict[str, Any]:
    """Make a site: a bare repository to push to."""
    return views.site(ctx, sites.create(ctx, who, SiteName.parse(body.name)))


@router.get("/sites/{site}")
def show(ctx: Ctx, site: ThisSite) -> dict[str, Any]:
    """One site: remotes, addresses, what is live."""
    return views.site(ctx, site)


@router.patch("/sites/{site}")
def rename(ctx: Ctx, who: Who, site: ThisSite, body: Name) -> dict[str, Any]:
    """Give a site another name; its old addresses answer no more."""
    return views.site(ctx, sites.rename(ctx, who, site, SiteName.parse(body.name)))


@router.delete("/sites/{site}")
def remove(ctx: Ctx, who: Who, site: ThisSite, confirm: bool = False) -> dict[str, Any]:
    """Delete a site with its repository and history; needs `confirm=true`."""
    sites.remove(ctx, who, site, confirmed=confirm)
    return {"removed": site.name}


@router.get("/sites/{site}/access-log")
def log(ctx: Ctx, who: Who, site: ThisSite, limit: int = 100) -> Response:
    """The last `limit` visits, oldest first: one line of JSON a request."""
    lines = access_log.newest(ctx, who, site, max(1, min(limit, 10_000)))
    return Response(b"".join(line + b"\n" for line in lines), media_type="text/plain; charset=utf-8")


@router.put("/sites/{site}/lock")
def lock(ctx: Ctx, who: Who, site: ThisSite, body: Reason) -> dict[str, Any]:
    """Let nothing go live except a rollback, for a reason that whoever is refused will read. Previews go on."""
    if not body.reason.strip():
        raise Invalid("A lock needs a reason, which whoever is refused will read.", 'Say: --reason "…"')
    return views.site(ctx, sites.lock(ctx, who, site, body.reason.strip()[:1000]))


@router.delete("/sites/{site}/lock")
def unlock(ctx: Ctx, who: Who, site: ThisSite) -> dict[str, Any]:
    """Let releases go live again."""
    return views.site(ctx, sites.lock(ctx, who, site, ""))
