"""Rows move from one database into another of the same engine, in one transaction of the target.

The source's rows are brought into temporary tables of the target. For each table a plan is made there: of every key a
digest of the row on each side and in the base, which is how both were when one was made of the other. So it is known
which side changed what. What a `Side` must be able to say is all that engines differ in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from gitdeploy.domain.content import (
    NAMED,
    ForeignKey,
    Rewriting,
    RowChange,
    check_columns,
    parents_first,
)
from gitdeploy.domain.masking import masker
from gitdeploy.domain.rewriting import replacer
from gitdeploy.domain.schema import Schema, Table
from gitdeploy.errors import Refused

Pass = Callable[[str], str | None]
"""What becomes of a text on its way."""


class Reader(Protocol):
    """A database as it is at one instant. Expressions are SQL over the columns of one table."""

    def schema(self) -> Schema: ...

    def columns(self, table: str) -> list[str]:
        """Those whose values are stored, not computed."""

    def stream(self, line: str) -> Iterator[Sequence[Any]]: ...

    def quoted(self, table: str) -> str: ...

    def name(self, column: str) -> str: ...

    def digest(self, table: str, columns: Sequence[str], /) -> str:
        """An expression: 32 hex digits of these columns of a row."""

    def numbered(self, digest: str) -> str:
        """An expression: this digest, and the number of the row among those with the same one."""


class Side(Reader, Protocol):
    """The target, within a transaction that only `commit` ends well."""

    source: Reader

    sharing: str
    """What lets a SELECT see and hold what others have just committed."""

    def do(self, line: str) -> None: ...

    def temporary(self, name: str, definition: str) -> None:
        """A temporary table: `(k CHAR(32))` or `AS SELECT …`."""

    def fill(self, name: str, rows: Iterable[Sequence[str]]) -> None:
        """Put rows of text into a temporary table."""

    def lock(self, tables: Sequence[str]) -> None:
        """Nobody else writes these until the end; reading goes on."""

    def receive(self, table: str, into: str, columns: Sequence[str], passes: Mapping[str, Pass]) -> None:
        """The rows of the source's table, into a temporary one."""

    def foreign_keys(self) -> list[ForeignKey]: ...

    def put(self, plans: Sequence[Plan], keys: Sequence[ForeignKey], /) -> None:
        """Do what the plans say, parents first. Raises Refused when a row would refer to one that there is not."""

    def commit(self, mark: str) -> None: ...


@dataclass(frozen=True)
class Wish:
    """What was asked for. `base` and `remember` are folders."""

    mark: str
    base: Path | None
    overwrite: bool
    dry_run: bool
    rewriting: Rewriting
    remember: Path | None


@dataclass(frozen=True)
class Plan:
    """What becomes of one table: rows of `plan` with `s` come from `new`, those with `t` are there; both are temporary
    tables. `key` and `row` are expressions over the columns of either. A `whole` table has no key and is replaced.
    """

    table: Table
    columns: tuple[str, ...]
    kept: tuple[str, ...]
    key: str
    row: str
    number: int
    change: RowChange = field(default_factory=RowChange)

    @property
    def whole(self) -> bool:
        return not self.table.key

    @property
    def new(self) -> str:
        return f"gitdeploy_new_{self.number}"

    @property
    def plan(self) -> str:
        return f"gitdeploy_plan_{self.number}"

    @property
    def base(self) -> str:
        return f"gitdeploy_base_{self.number}"

    @property
    def gone(self) -> str:
        """Rows of the target as they were before they were changed or removed."""
        return f"gitdeploy_gone_{self.number}"

    def where(self, which: str) -> str:
        """The rows that the plan tells by this condition."""
        return "1 = 1" if self.whole else f"{self.key} IN (SELECT k FROM {self.plan} WHERE {which})"


def write_keys(reader: Reader, tables: Iterable[str], folder: Path, keep: tuple[str, ...] = ()) -> None:
    """Remember of every row its key and its content, each as a digest; a file for each table."""
    schema = reader.schema()
    folder.mkdir(parents=True, exist_ok=True)
    for name in tables:
        if (table := schema.tables.get(name)) is None:
            continue
        columns = _compared(reader, name, Rewriting(keep=keep))
        key, row = _expressions(reader, table, columns)
        with (folder / _file(name)).open("w", encoding="ascii") as file:
            file.write(json.dumps({"columns": columns, "key": list(table.key)}) + "\n")
            for k, h in reader.stream(f"SELECT {key}, {row} FROM {reader.quoted(name)} ORDER BY 1"):
                file.write(f"{k} {h}\n")


def move(side: Side, tables: Sequence[str], wish: Wish) -> dict[str, RowChange]:
    """Raises Refused, and then nothing has changed. A dry run does the same and takes it back; it tells of conflicts
    instead of refusing them.
    """
    before, now = side.source.schema(), side.schema()
    check_columns(before.tables, now.tables, tables)
    keys = side.foreign_keys()
    order = parents_first(tables, keys)
    side.lock(list(reversed(order)))
    if wish.remember:
        write_keys(side.source, order, wish.remember, wish.rewriting.keep)
    plans = [_planned(side, now.tables[name], number, wish) for number, name in enumerate(order)]
    conflicts = [one for plan in plans for one in plan.change.conflicts]
    if conflicts and not (wish.overwrite or wish.dry_run):
        raise _conflict(conflicts)
    changing = [plan for plan in plans if not plan.change.is_empty]
    side.put(changing, keys)
    if not wish.dry_run:
        side.commit(wish.mark)
    return {plan.table.name: plan.change for plan in plans}


def replace_rows(side: Side, plans: Sequence[Plan], overriding: str = "") -> None:
    """For a target that checks no references meanwhile: whatever is not the same goes, then comes anew. So a unique
    value may pass from one row to another.
    """
    for plan in reversed(plans):
        side.do(f"DELETE FROM {side.quoted(plan.table.name)} WHERE {plan.where('t IS NOT NULL')}")
    for plan in plans:
        insert(side, plan, overriding)


def insert(side: Side, plan: Plan, overriding: str = "", then: str = "") -> None:
    names = _list(side, plan.columns)
    side.do(
        f"INSERT INTO {side.quoted(plan.table.name)} ({names}) {overriding} SELECT {names} FROM {plan.new} "
        f"WHERE {plan.where('s IS NOT NULL')} {then}"
    )


def set_aside(side: Side, plan: Plan) -> None:
    """What will be changed or removed, as it is; and the columns that stay are copied from it."""
    names, target = _list(side, plan.columns), side.quoted(plan.table.name)
    side.temporary(plan.gone, f"AS SELECT {names} FROM {target} WHERE {plan.where('t IS NOT NULL')}")
    same = " AND ".join(
        f"{plan.gone}.{side.name(one)} = {plan.new}.{side.name(one)}" for one in plan.table.key
    )
    for one in plan.kept if not plan.whole else ():
        side.do(
            f"UPDATE {plan.new} SET {side.name(one)} = (SELECT {plan.gone}.{side.name(one)} FROM {plan.gone} "
            f"WHERE {same}) WHERE {plan.where('s IS NOT NULL AND t IS NOT NULL')}"
        )


def check_references(side: Side, plans: Sequence[Plan], keys: Iterable[ForeignKey]) -> None:
    """Raises Refused when rows refer to what is no longer there, or came and refer to what never was."""
    by_name = {plan.table.name: plan for plan in plans}
    for key in keys:
        if (plan := by_name.get(key.child)) and _dangling(
            side, key, f"(SELECT * FROM {plan.new} WHERE {plan.where('s IS NOT NULL')})", ""
        ):
            raise refers_to_nothing(key.child, key.name, key.parent)
        if plan := by_name.get(key.parent):
            lost = " AND ".join(
                f"c.{side.name(one)} = g.{side.name(other)}"
                for one, other in zip(key.columns, key.refers, strict=True)
            )
            if _dangling(side, key, side.quoted(key.child), f"JOIN {plan.gone} g ON {lost}"):
                raise refers_to_nothing(key.child, key.name, key.parent)


def refers_to_nothing(child: str, constraint: str, parent: str) -> Refused:
    return Refused(
        f"Rows of {child} would refer to rows of {parent} that are not there ({constraint}).",
        f"Move {parent} too, or remove these rows of {child} first.",
    )


# Private


def _planned(side: Side, table: Table, number: int, wish: Wish) -> Plan:
    columns = tuple(side.columns(table.name))
    compared = _compared(side, table.name, wish.rewriting)
    key, row = _expressions(side, table, compared)
    kept = tuple(one for one in columns if one not in compared)
    plan = Plan(table, columns, kept, key, row, number)
    names = _list(side, columns)
    side.temporary(plan.new, f"AS SELECT {names} FROM {side.quoted(table.name)} WHERE 1 = 0")
    side.receive(table.name, plan.new, columns, _passes(table.name, columns, wish.rewriting))
    known = _base(side, plan, compared, wish.base)
    _compare(side, plan, side.digest(table.name, known) if known else row, bool(known))
    return replace(plan, change=(_whole if plan.whole else _rows)(side, plan, bool(known)))


def _base(side: Side, plan: Plan, compared: list[str], folder: Path | None) -> list[str]:
    """The columns that the base knows of this table, whose rows are then in a temporary table; empty without one."""
    file = folder / _file(plan.table.name) if folder else None
    if file is None or not file.exists():
        return []
    with file.open(encoding="ascii") as lines:
        head = json.loads(next(lines))
        if head["key"] != list(plan.table.key) or not set(head["columns"]) <= set(compared):
            return []
        side.temporary(plan.base, "(k VARCHAR(80) PRIMARY KEY, h CHAR(32))")
        side.fill(plan.base, (line.split() for line in lines))
    return list(head["columns"])


def _compare(side: Side, plan: Plan, part: str, known: bool) -> None:
    """Of each key: `s` and `t` tell the row in source and target, `sb` and `tb` only the columns that the base knows,
    and `b` the row in the base.
    """
    side.temporary(
        plan.plan, "(k VARCHAR(80) PRIMARY KEY, s CHAR(32), sb CHAR(32), t CHAR(32), tb CHAR(32), b CHAR(32))"
    )
    parts = [
        f"SELECT {plan.key} AS k, {plan.row} AS s, {part} AS sb, NULL AS t, NULL AS tb, NULL AS b FROM {plan.new}",
        f"SELECT {plan.key}, NULL, NULL, {plan.row}, {part}, NULL FROM {side.quoted(plan.table.name)}",
    ]
    if known:
        parts.append(f"SELECT k, NULL, NULL, NULL, NULL, h FROM {plan.base}")
    side.do(
        f"INSERT INTO {plan.plan} SELECT k, max(s), max(sb), max(t), max(tb), max(b) "
        f"FROM ({' UNION ALL '.join(parts)}) x GROUP BY k"
    )


def _rows(side: Side, plan: Plan, known: bool) -> RowChange:
    """What is left in the plan is what will be done."""
    side.do(f"DELETE FROM {plan.plan} WHERE s = t OR (s IS NULL AND t IS NULL)")
    conflict = "t IS NOT NULL"
    if known:
        side.do(
            f"DELETE FROM {plan.plan} WHERE (s IS NULL AND b IS NULL) OR (sb = b AND COALESCE(tb, '') <> b)"
        )
        conflict = "(COALESCE(tb, '') <> COALESCE(b, '') OR COALESCE(sb, '') = b)"
    added, changed, removed = _counted(
        side, plan, "t IS NULL", "s IS NOT NULL AND t IS NOT NULL", "s IS NULL"
    )
    return RowChange(added, changed, removed, tuple(_named(side, plan, conflict)))


def _whole(side: Side, plan: Plan, known: bool) -> RowChange:
    """The number of a row among its like takes the place of a key."""
    added, removed, there, source, target = _counted(
        side, plan, "s IS NOT NULL AND t IS NULL", "s IS NULL AND t IS NOT NULL", "t IS NOT NULL",
        "COALESCE(sb, '') <> COALESCE(b, '')", "COALESCE(tb, '') <> COALESCE(b, '')",
    )  # fmt: skip
    if not (added or removed) or (known and not source):
        return RowChange()
    conflict = target if known else there
    return RowChange(added, 0, removed, (f"{plan.table.name} (has no primary key)",) if conflict else ())


def _counted(side: Side, plan: Plan, *conditions: str) -> list[int]:
    counts = ", ".join(f"COUNT(CASE WHEN {one} THEN 1 END)" for one in conditions)
    return [int(one) for one in next(iter(list(side.stream(f"SELECT {counts} FROM {plan.plan}"))))]


def _named(side: Side, plan: Plan, conflict: str) -> Iterator[str]:
    keys = _list(side, plan.table.key)
    found = 0
    for place, which in ((plan.new, "s IS NOT NULL"), (side.quoted(plan.table.name), "s IS NULL")):
        line = f"SELECT {keys} FROM {place} WHERE {plan.where(f'{which} AND {conflict}')} ORDER BY {keys} LIMIT {NAMED}"
        for row in islice(list(side.stream(line)), NAMED - found):
            found += 1
            pairs = zip(plan.table.key, row, strict=True)
            yield f"{plan.table.name} {' '.join(f'{name}={_shown(value)}' for name, value in pairs)}"


def _shown(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _dangling(side: Side, key: ForeignKey, rows: str, more: str) -> bool:
    match = " AND ".join(
        f"p.{side.name(other)} = c.{side.name(one)}"
        for one, other in zip(key.columns, key.refers, strict=True)
    )
    given = " AND ".join(f"c.{side.name(one)} IS NOT NULL" for one in key.columns)
    line = (
        f"SELECT 1 FROM {rows} c {more} LEFT JOIN {side.quoted(key.parent)} p ON {match} "
        f"WHERE {given} AND p.{side.name(key.refers[0])} IS NULL LIMIT 1 {side.sharing}"
    )
    return bool(list(side.stream(line)))


def _passes(table: str, columns: Iterable[str], rewriting: Rewriting) -> dict[str, Pass]:
    found: dict[str, Pass] = {}
    for column in columns:
        name = f"{table}.{column}"
        if kind := rewriting.masks(name):
            found[column] = masker(kind, rewriting.key)
        elif rewriting.replaces(name):
            found[column] = replacer(rewriting.replace)
    return found


def _compared(reader: Reader, table: str, rewriting: Rewriting) -> list[str]:
    return sorted(one for one in reader.columns(table) if not rewriting.keeps(f"{table}.{one}"))


def _expressions(reader: Reader, table: Table, compared: Sequence[str]) -> tuple[str, str]:
    row = reader.digest(table.name, compared)
    return (reader.digest(table.name, table.key) if table.key else reader.numbered(row)), row


def _list(reader: Reader, columns: Iterable[str]) -> str:
    return ", ".join(reader.name(one) for one in columns)


def _file(table: str) -> str:
    return f"{quote(table, safe='')}.keys"


def _conflict(found: list[str]) -> Refused:
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return Refused(
        f"Both sides have changed the same rows: {', '.join(found[:NAMED])}{more}.",
        "See what they hold, then move again with overwrite to take the source's.",
    )
