"""What one `git push` asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PendingPush:
    """A row of the ledger: one ref that was accepted and is still to be acted on. Written before git moves the
    ref and removed when its build is queued, so that a crash in between loses nothing. `options` is JSON.
    """

    id: str
    ref: str
    site: str
    old: str
    new: str
    actor: str
    options: str
    created_at: str
