"""The shape of a database, and what changed between two shapes.

A rollback puts older code before today's shape. What was only added is no trouble to it; what it knows and no
longer finds is. So every release records the shape that it was live with, and `difference` classes what came since.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

HASH = 32  # hex digits of a fingerprint


@dataclass(frozen=True)
class Column:
    """`type` is as the engine writes it; `required` means: no null, and no default that would stand in."""

    name: str
    type: str
    required: bool = False


@dataclass(frozen=True)
class Table:
    """`key` are the columns of the primary key, empty without one. `rules` are the definitions of constraints and
    indexes by name; `refers` the tables that its foreign keys point to.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    rules: Mapping[str, str] = field(default_factory=dict)
    refers: tuple[str, ...] = ()

    def column(self, name: str) -> Column | None:
        return next((one for one in self.columns if one.name == name), None)


@dataclass(frozen=True)
class Schema:
    """All tables of one database. `others` are views, triggers, functions and the like: definitions by name."""

    tables: Mapping[str, Table] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Equal when the shapes are equal; the order of tables and rules does not count, that of columns does."""
        text = json.dumps(self.as_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:HASH]

    def as_json(self) -> dict[str, Any]:
        return {
            "tables": {name: asdict(one) for name, one in sorted(self.tables.items())},
            "others": dict(sorted(self.others.items())),
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Schema:
        tables = {
            name: Table(
                name, tuple(Column(**column) for column in one["columns"]), tuple(one["key"]),
                dict(one["rules"]), tuple(one["refers"]),
            )
            for name, one in said["tables"].items()
        }  # fmt: skip
        return cls(tables, dict(said["others"]))


@dataclass(frozen=True)
class KnownSchema:
    """A row of the ledger: a shape that some release was live with. `text` is the JSON of a Schema."""

    fingerprint: str
    text: str


@dataclass(frozen=True)
class Change:
    """What differs, as sentences. Older code runs on with what is additive; what is destructive it misses, and of the
    unknown nobody can say.
    """

    additive: tuple[str, ...] = ()
    destructive: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """`same additive destructive unknown`: the worst there is."""
        if self.destructive:
            return "destructive"
        if self.unknown:
            return "unknown"
        return "additive" if self.additive else "same"


def difference(before: Schema, after: Schema) -> Change:
    """What came of `before`. A renamed table or column is one that went and one that came."""
    found: dict[str, list[str]] = {"additive": [], "destructive": [], "unknown": []}
    for verdict, sentence in _differences(before, after):
        found[verdict].append(sentence)
    return Change(**{verdict: tuple(sentences) for verdict, sentences in found.items()})


# Private


def _differences(before: Schema, after: Schema) -> Iterator[tuple[str, str]]:
    for name in sorted({*before.tables, *after.tables}):
        old, new = before.tables.get(name), after.tables.get(name)
        if new is None:
            yield "destructive", f"table {name} was dropped"
        elif old is None:
            yield "additive", f"table {name} was added"
        else:
            yield from _table(old, new)
    for name in sorted({*before.others, *after.others}):
        if name not in before.others:
            yield "unknown", f"{name} was added"
        elif name not in after.others:
            yield "unknown", f"{name} was dropped"
        elif before.others[name] != after.others[name]:
            yield "unknown", f"{name} was changed"


def _table(old: Table, new: Table) -> Iterator[tuple[str, str]]:
    for column in old.columns:
        now = new.column(column.name)
        where = f"{old.name}.{column.name}"
        if now is None:
            yield "destructive", f"column {where} was dropped"
        elif now.type != column.type:
            yield "destructive", f"column {where} was changed from {column.type} to {now.type}"
        elif now.required and not column.required:
            yield "destructive", f"column {where} has to be given now"
        elif column.required and not now.required:
            yield "additive", f"column {where} may be left out now"
    for column in new.columns:
        if old.column(column.name) is None:
            where = f"{new.name}.{column.name}"
            if column.required:
                yield "destructive", f"column {where} was added and has to be given"
            else:
                yield "additive", f"column {where} was added"
    if old.key != new.key:
        yield "unknown", f"the primary key of {old.name} was changed"
    yield from _rules(old, new)


def _rules(old: Table, new: Table) -> Iterator[tuple[str, str]]:
    for name in sorted({*old.rules, *new.rules}):
        was, now = old.rules.get(name), new.rules.get(name)
        if was == now:
            continue
        verdict = "additive" if was is None and now is not None and _is_index(now) else "unknown"
        how = "added" if was is None else "dropped" if now is None else "changed"
        yield verdict, f"{name} of {old.name} was {how}"


def _is_index(rule: str) -> bool:
    """A plain index asks nothing of what is written; a unique one may."""
    return rule.upper().startswith(("CREATE INDEX", "INDEX"))
