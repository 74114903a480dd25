"""`/v1`: one module a noun, each a thin door to the verbs of `service`."""

from __future__ import annotations

from gitdeploy.web.api import (
    access,
    approvals,
    backups,
    builders,
    builds,
    config,
    cutovers,
    domains,
    environments,
    events,
    export,
    freezes,
    incident,
    login,
    moves,
    processes,
    rehearsals,
    releases,
    server,
    sites,
    snapshots,
    webhooks,
)

NOUNS = (
    sites,
    domains,
    config,
    releases,
    rehearsals,
    snapshots,
    moves,
    cutovers,
    freezes,
    approvals,
    builds,
    environments,
    processes,
    export,
    incident,
    access,
    login,
    webhooks,
    events,
    builders,
    backups,
    server,
)
ROUTES = [route for noun in NOUNS for route in noun.router.routes]
