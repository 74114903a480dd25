"""What an environment's databases and files held at one instant, and what is known of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gitdeploy.domain.schema import Schema

LABEL_MAX = 120
ASKED = "asked"
SCHEDULED = "scheduled"
KEEP_AUTOMATIC = 10
"""How many snapshots of an environment stay that nobody asked for, nor any schedule."""


@dataclass(frozen=True)
class Count:
    """What a table holds: how many rows, and a sum over them that does not depend on their order."""

    rows: int
    sum: str


@dataclass(frozen=True)
class Facts:
    """All that is compared when a database was restored: its shape, and of every table what it holds."""

    schema: Schema = field(default_factory=Schema)
    tables: Mapping[str, Count] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.tables.values())

    def as_json(self) -> dict[str, Any]:
        return {
            "schema": self.schema.as_json(),
            "tables": {name: [one.rows, one.sum] for name, one in sorted(self.tables.items())},
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Facts:
        return cls(
            Schema.from_json(said["schema"]), {name: Count(*one) for name, one in said["tables"].items()}
        )

    def differs_from(self, other: Facts) -> str:
        """The first thing that is not the same, as a sentence; empty when all is."""
        if self.schema.fingerprint != other.schema.fingerprint:
            return "the tables are not the same"
        for name, mine in sorted(self.tables.items()):
            its = other.tables.get(name)
            if its != mine:
                rows = its.rows if its else 0
                what = f"has {rows} rows instead of {mine.rows}" if rows != mine.rows else "has other content"
                return f"{name} {what}"
        return ""


@dataclass(frozen=True)
class Snapshot:
    """A row of the ledger. `artifact` is the digest of what is stored; `number` counts per site; `release` the
    number of the one that was live; `databases` the JSON of `Facts` by database; `verified` the JSON of `{at, how,
    rows, seconds}`, empty until it was restored and compared, and `flaw` why that failed; `copied` that of `{at, to,
    bytes, objects, seconds}`, empty until it lies in another place too. `cause` is who or what wanted it: `asked`,
    `scheduled`, or the verb that it was taken before. `newer` files were written after the instant of its databases.
    Times are UTC ISO 8601, sizes bytes.
    """

    id: str
    site: str
    number: int
    env: str
    created_at: str
    actor: str
    artifact: str
    bytes: int
    files: int
    stored: int
    release: int
    databases: str
    label: str = ""
    cause: str = ASKED
    pinned: bool = False
    verified: str = ""
    copied: str = ""
    expires_at: str | None = None
    newer: int = 0
    flaw: str = ""

    @property
    def name(self) -> str:
        return f"s{self.number}"

    @property
    def facts(self) -> dict[str, Facts]:
        return {name: Facts.from_json(one) for name, one in json.loads(self.databases).items()}


def worth_keeping(taken: Iterable[Snapshot], *, scheduled: int) -> frozenset[int]:
    """The numbers that stay, of one environment's snapshots: what somebody asked for or pinned, the newest `scheduled`
    of those that a schedule asked for, the newest others, and the newest that is proven.
    """
    newest = sorted(taken, key=lambda one: one.number, reverse=True)
    kept = {one.number for one in newest if one.pinned or one.cause == ASKED}
    kept.update([one.number for one in newest if one.cause == SCHEDULED][:scheduled])
    kept.update([one.number for one in newest if one.cause not in (ASKED, SCHEDULED)][:KEEP_AUTOMATIC])
    kept.update([one.number for one in newest if one.verified][:1])
    return frozenset(kept)
