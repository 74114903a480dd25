from __future__ import annotations

from fastapi import Request

from gitdeploy.domain.role import EVERY_SITE, Role
from gitdeploy.service import backup as backups
from gitdeploy.web import views
from gitdeploy.web.api.asking import Ctx, Who
from gitdeploy.web.api.paging import Paged
from gitdeploy.web.api.route import noun
from gitdeploy.web.shapes import server as shapes
from gitdeploy.web.stream import Told, told

router = noun("backups")


@router.get("/backups")
def listing(ctx: Ctx, who: Who, page: Paged, before: str = "~") -> list[shapes.Backup]:
    """The backups of the server, newest first; `before` is the id of the last one already seen."""
    found = backups.listing(ctx, who, before=before, limit=page.enough)
    return [views.backup(one) for one in page.of(found, lambda one: one.id)]


@router.post("/backups")
def take(ctx: Ctx, who: Who, request: Request) -> Told[shapes.Backup]:
    """Copy what is new of the server to where server.toml says, and read it back; `without` says what is missing."""
    who.need(Role.ADMIN, EVERY_SITE, "back up the server")
    return told(ctx, request, lambda teller: views.backup(backups.take(ctx, who, teller)))
