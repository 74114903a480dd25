from __future__ import annotations

import dataclasses
import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from gitdeploy.domain.backup import Backup
from gitdeploy.domain.role import EVERY_SITE, Role
from gitdeploy.service import backup as backups
from gitdeploy.web.api.asking import Ctx, Who
from gitdeploy.web.stream import told

router = APIRouter(tags=["backups"])


@router.get("/backups")
def listing(ctx: Ctx, who: Who) -> list[dict[str, Any]]:
    """The backups of the server, newest first."""
    return [_backup(one) for one in backups.listing(ctx, who)]


@router.post("/backups")
def take(ctx: Ctx, who: Who, request: Request) -> Response:
    """Copy what is new of the server to where server.toml says, and read it back; `without` says what is missing."""
    who.need(Role.ADMIN, EVERY_SITE, "back up the server")
    return told(ctx, request, lambda teller: _backup(backups.take(ctx, who, teller)))


def _backup(row: Backup) -> dict[str, Any]:
    return {**dataclasses.asdict(row), "without": json.loads(row.without)}
