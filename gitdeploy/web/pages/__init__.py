"""The dashboard: one module a noun. Pages parse, call the same verbs under the same policy as the API, and present."""

from __future__ import annotations

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

NOUNS = (
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
)
ROUTES = [route for noun in NOUNS for route in noun.router.routes]
