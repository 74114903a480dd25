"""One run of a build recipe on one commit."""

from __future__ import annotations

from dataclasses import dataclass

OPEN = ("queued", "building")
STATES = ("queued", "building", "built", "failed", "canceled", "superseded")


@dataclass(frozen=True)
class Build:
    """A row of the ledger. Times are UTC ISO 8601. `key` is what makes two builds the same build:
    (tree, recipe, builder, declared variables); `reused_from` names the build whose artifact it took;
    `builder` the machine that made it, None where this one did.
    """

    id: str
    site: str
    commit: str
    tree: str
    ref: str
    state: str
    actor: str
    created_at: str
    key: str = ""
    recipe: str = ""  # canonical JSON
    reused_from: str | None = None
    artifact: str | None = None
    subject: str = ""
    started_at: str | None = None
    finished_at: str | None = None
    seconds: float | None = None
    error: str | None = None
    push: str | None = None
    builder: str | None = None

    @property
    def over(self) -> bool:
        return self.state not in OPEN
