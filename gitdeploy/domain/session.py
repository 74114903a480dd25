"""A browser that somebody signed in with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Session:
    """A row of the ledger. `token` is the id of the token that was shown for it: it ends with that. Only the SHA-256 of
    its cookie is kept. Times are UTC ISO 8601.
    """

    id: str
    actor: str
    token: str
    hash: str
    created_at: str
    expires_at: str
    agent: str
