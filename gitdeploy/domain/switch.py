"""The journal of a switch: what a restart needs to know to finish it or undo it.

prepared    the slot stands, nothing visible has changed: undo
switching   the pointer may have moved: look at it; moved = finish, not moved = undo
retiring    it is done, and the data that it replaced is still there
done, undone
"""

from __future__ import annotations

from dataclasses import dataclass

OPEN = ("prepared", "switching")
RETIRING = "retiring"


@dataclass(frozen=True)
class SwitchRecord:
    """A row of the ledger. `refs` is the JSON list of [ref, old, new] that move together with the pointer; `data` says,
    encrypted, which data does (service/exchange.py).
    """

    id: str
    site: str
    env: str
    release: int
    old_slot: str | None
    new_slot: str
    refs: str
    phase: str
    created_at: str
    data: str = ""
