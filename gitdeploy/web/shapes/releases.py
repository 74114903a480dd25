"""What goes live: builds, releases, what waits for its hour or for approval, what a rollback opens."""

from __future__ import annotations

from typing_extensions import TypedDict

from gitdeploy.domain.incident import Ticked
from gitdeploy.domain.pictures import PicturedPage
from gitdeploy.service.incident_advice import Reconfigured


class Release(TypedDict):
    """`kind` is deploy, promote, rollback, redeploy, config or restore; `undo` the push that brings it back; `image`
    what the swarm runs, by its digest, null for a release that runs on the server itself.
    """

    id: str
    release: str
    site: str
    env: str
    kind: str
    state: str
    mark: str | None
    commit: str
    subject: str
    build: str
    artifact: str
    actor: str
    reason: str | None
    origin: str
    serves: str
    image: str | None
    config: str | None
    pinned: bool
    created_at: str
    live_at: str | None
    ended_at: str | None
    undo: str


class DryRun(TypedDict):
    """Nothing has changed; `message` says what would have."""

    dry_run: bool
    message: str


class Build(TypedDict):
    id: str
    site: str
    commit: str
    tree: str
    ref: str
    state: str
    actor: str
    subject: str
    reused_from: str | None
    artifact: str | None
    created_at: str
    started_at: str | None
    finished_at: str | None
    seconds: float | None
    error: str | None
    push: str | None
    builder: str | None


class Schedule(TypedDict):
    """`state` is waiting, done, failed, canceled or superseded; `said` how it ended."""

    id: str
    site: str
    env: str
    verb: str
    target: str
    actor: str
    at: str
    state: str
    commit: str | None
    said: str | None
    created_at: str
    ended_at: str | None


class Vote(TypedDict):
    actor: str
    at: str
    signed: bool


class Approval(TypedDict):
    id: str
    site: str
    env: str
    state: str
    commit: str
    artifact: str
    build: str
    subject: str
    actor: str
    votes: list[Vote]
    created_at: str
    ended_at: str | None
    ended_by: str | None
    reason: str | None


class Pictures(TypedDict):
    """`live` and `candidate` are artifacts; `more` pages would have been worth a picture."""

    id: str
    site: str
    env: str
    build: str
    live: str
    candidate: str
    pages: list[PicturedPage]
    more: int
    created_at: str
    actor: str


class Incident(TypedDict):
    """`gate`: its boxes; `also_open`: numbers of others."""

    number: int
    site: str
    state: str
    created_at: str
    actor: str
    rollbacks: list[str]
    rejected: list[str]
    gate: list[Ticked]
    fix: str | None
    fixed_by: str | None
    facts: str
    text: str
    closed_at: str | None
    closed_by: str | None
    also_open: list[int]


class Served(TypedDict):
    release: str
    kind: str
    commit: str
    subject: str
    actor: str
    live_at: str | None
    ended_at: str | None


class Advice(TypedDict):
    """`last_change` is deploy, configuration or rollback; `config` by scope."""

    live: Served | None
    seconds: int
    before: Served | None
    last_change: str
    recent: bool
    last_good: Served | None
    tag: str | None
    config: dict[str, Reconfigured]
    release_command: str | None
    incident: int | None
    answer: str
    command: str
