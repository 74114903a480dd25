"""The dashboard: one module a noun. Pages parse, call the same verbs under the same policy as the API, and present."""

from __future__ import annotations

from fastapi import APIRouter

from gitdeploy.web.pages import (
    access,
    assets,
    builds,
    config,
    cutovers,
    domains,
    environments,
    events,
    freezes,
    incidents,
    login,
    moves,
    orders,
    pictures,
    releases,
    session,
    settings,
    setup,
    sites,
    snapshots,
    webhooks,
)

router = APIRouter(include_in_schema=False)
for noun in (
    assets,
    setup,
    session,
    login,
    sites,
    releases,
    orders,
    builds,
    environments,
    snapshots,
    moves,
    cutovers,
    pictures,
    freezes,
    webhooks,
    settings,
    config,
    domains,
    incidents,
    events,
    access,
):
    router.include_router(noun.router)
