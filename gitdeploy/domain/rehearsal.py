"""A rehearsal: a change that was run on copies. The change itself may go on for as long as what its outcome depends
on is what it was then.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from typing_extensions import TypedDict

from gitdeploy.domain.move_outcome import Outcome

VERBS = ("restore", "cutover", "migration", "rollback", "clone")
"""What can be rehearsed. A migration is a release whose release command may change databases."""
HASH = 32  # hex digits of a digest


@dataclass(frozen=True)
class Inputs:
    """All that the outcome depends on: for each thing, called as people call it, a text that differs when it does."""

    said: Mapping[str, str]

    @property
    def digest(self) -> str:
        text = json.dumps(dict(self.said), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:HASH]

    def changed_since(self, then: Inputs) -> tuple[str, ...]:
        """What is not as it was, as sentences."""
        return tuple(
            f"{name} was {_short(then.said.get(name))} and is {_short(self.said.get(name))}"
            for name in sorted({*self.said, *then.said})
            if self.said.get(name) != then.said.get(name)
        )


class Shape(TypedDict):
    """What becomes of a database's schema."""

    verdict: str
    changes: list[str]


class Tried(TypedDict):
    """By table its rows before and after, null where there is no such table."""

    tables: dict[str, tuple[int | None, int | None]]
    schema: Shape


class Lost(TypedDict):
    """By `database/table` the rows of then and now; `since` is the snapshot that the preview was filled from."""

    since: str | None
    tables: dict[str, tuple[int, int]]


class Findings(TypedDict, total=False):
    """What was found as far as the rehearsal came; `seconds` by step."""

    health: str
    databases: dict[str, Tried]
    lost: Lost
    files: int
    content: Outcome
    seconds: dict[str, float]


@dataclass(frozen=True)
class Rehearsal:
    """A row of the ledger. `subject` is what was rehearsed: a snapshot, a preview, the digest of an artifact. `inputs`
    is the digest of `described`, the JSON of an `Inputs`. `seconds` is how long it took, `pause` how long the databases
    will not be there, as far as copies can tell. `findings` is JSON: health, seconds of each step, tables and changes
    of the shape by database. `error` says why it failed, empty when it did not.
    """

    id: str
    site: str
    env: str
    verb: str
    subject: str
    inputs: str
    described: str
    created_at: str
    actor: str
    seconds: float
    pause: float
    findings: str
    error: str = ""

    @property
    def of(self) -> Inputs:
        return Inputs(json.loads(self.described))

    @property
    def found(self) -> Findings:
        found: Findings = json.loads(self.findings)
        return found

    @property
    def about(self) -> str:
        """`the restore of s3 into production`."""
        subject = self.subject[:12] if self.verb in ("migration", "rollback") else self.subject
        link = "to" if self.verb == "rollback" else "of"
        return f"the {self.verb} {link} {subject} in {self.env}"


# Private


def _short(value: str | None) -> str:
    if not value:
        return "nothing"
    return value[:12] if len(value) >= HASH and " " not in value else value
