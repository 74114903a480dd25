"""A cutover: a preview's data becomes production's, because somebody asked for it and an operator agreed.

open -> acked | rejected | canceled
acked -> in_progress | canceled
in_progress -> completed | failed

A failed one stays failed: nothing is tried again by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gitdeploy.domain.length import at_most
from gitdeploy.errors import Busy

NOTE_MAX, TICKET_MAX = 1000, 120  # characters
MOVES: Mapping[str, tuple[str, ...]] = {
    "open": ("acked", "rejected", "canceled"),
    "acked": ("in_progress", "canceled"),
    "in_progress": ("completed", "failed"),
    "completed": (),
    "failed": (),
    "rejected": (),
    "canceled": (),
}
STATES = tuple(MOVES)
OPEN = ("open", "acked", "in_progress")
"""Of these a preview has one at most."""


@dataclass(frozen=True)
class Cutover:
    """A row of the ledger. `note` and `ticket` are the requester's; `reason` is why it was rejected or canceled;
    `filled` and `backup` name the snapshots of the preview and of production that it was run with, `release` the number
    of the release it made. `warned` is the end of the preview's time that was warned of. Times are UTC ISO 8601.
    """

    id: str
    site: str
    preview: str
    state: str
    created_at: str
    requester: str
    note: str = ""
    ticket: str = ""
    decided_at: str | None = None
    decided_by: str = ""
    reason: str = ""
    started_at: str | None = None
    run_by: str = ""
    filled: str = ""
    backup: str = ""
    rehearsal: str = ""
    release: int | None = None
    finished_at: str | None = None
    error: str = ""
    warned: str = ""

    @property
    def label(self) -> str:
        """Of the backup that is taken first."""
        return f"pre-cutover-{self.id}"


def check_move(row: Cutover, state: str) -> None:
    """Raises Busy unless a request may go from where it is to `state`."""
    if state in MOVES[row.state]:
        return
    why = {"in_progress": "An operator has to ack it first.", "acked": "Only an open one is acked."}
    over = f"Request another: gitdeploy cutover request {row.site} {row.preview}"
    hint = (
        over if not MOVES[row.state] else why.get(state, f"See: gitdeploy cutover show {row.site} {row.id}")
    )
    said = state.replace("_", " ")
    raise Busy(f"{row.id} is {row.state.replace('_', ' ')} and cannot become {said}.", hint)


def check_limits(note: str, ticket: str) -> None:
    """Raises Invalid for a note or the reference of a ticket that is too long."""
    for what, said, most in (
        ("The note", note, NOTE_MAX),
        ("The reference of the ticket", ticket, TICKET_MAX),
    ):
        at_most(most, what, said)
