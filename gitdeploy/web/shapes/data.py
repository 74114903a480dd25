"""What an environment's data was, is, and is to become."""

from __future__ import annotations

from typing_extensions import TypedDict

from gitdeploy.domain.move_outcome import Outcome
from gitdeploy.domain.rehearsal import Findings


class HeldRows(TypedDict):
    """What a database held; rows by table."""

    rows: int
    schema: str
    tables: dict[str, int]


class Proof(TypedDict):
    """When and how a snapshot was restored and compared, and how much that was."""

    at: str
    how: str
    files: int
    rows: int
    tables: int
    seconds: float


class Copied(TypedDict):
    """When a snapshot was copied elsewhere, and how much of it was not there yet."""

    at: str
    to: str
    bytes: int
    objects: int
    seconds: float


class Snapshot(TypedDict):
    """`stored` are the bytes that no snapshot before had; `newer` counts what was written after its instant."""

    id: str
    snapshot: str
    site: str
    env: str
    created_at: str
    actor: str
    cause: str
    label: str | None
    release: str
    bytes: int
    stored: int
    files: int
    newer: int
    pinned: bool
    database: dict[str, HeldRows]
    verified: Proof | None
    flaw: str | None
    copied: Copied | None
    expires_at: str | None


Ends = TypedDict("Ends", {"from": str, "to": str})


class Move(Ends, Outcome):
    """`state` is prepared, moving, completed or failed; `database` the one that was chosen, null for any."""

    id: str
    site: str
    state: str
    actor: str
    reason: str | None
    created_at: str
    finished_at: str | None
    database: str | None
    only: list[str]
    overwrite: bool
    snapshot: str | None
    error: str | None


class Compared(Ends, Outcome):
    """What a move would come to. Nothing has changed."""

    dry_run: bool


class Rehearsal(TypedDict):
    """`inputs` is the digest of what it `depends_on`; `pause` how long the databases would be away."""

    id: str
    site: str
    env: str
    verb: str
    subject: str
    state: str
    error: str | None
    inputs: str
    depends_on: dict[str, str]
    created_at: str
    actor: str
    seconds: float
    pause: float
    findings: Findings


class Cutover(TypedDict):
    """`state` is open, acked, in_progress, completed, failed, rejected or canceled."""

    id: str
    site: str
    preview_id: str
    state: str
    customer_note: str | None
    external_ticket_ref: str | None
    created_at: str
    requester: str
    decided_at: str | None
    decided_by: str | None
    reason: str | None
    started_at: str | None
    run_by: str | None
    backup: str | None
    snapshot: str | None
    rehearsal: str | None
    release: str | None
    finished_at: str | None
    error: str | None
    preview_expires_at: str | None
    undo: str | None
