"""Where a branch stood when it was last acted on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Head:
    """A row of the ledger."""

    site: str
    ref: str
    commit: str
