"""Which rows of a table are to come, change and go, found by the digests of both sides and of the base."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gitdeploy.data.content_side import Pass, Plan, Reader, Side, Wish
from gitdeploy.domain.content import NAMED, Rewriting, RowChange
from gitdeploy.domain.masking import masker
from gitdeploy.domain.rewriting import replacer
from gitdeploy.domain.schema import Table
from gitdeploy.errors import Refused


def write_keys(reader: Reader, tables: Iterable[str], folder: Path, keep: tuple[str, ...] = ()) -> None:
    """Remember of every row its key and its content, each as a digest; a file for each table."""
    schema = reader.schema()
    for name in tables:
        if (table := schema.tables.get(name)) is not None:
            columns = compared_columns(reader, name, Rewriting(keep=keep))
            key, row = expressions(reader, table, columns)
            _write(reader, table, columns, f"SELECT {key}, {row} FROM {reader.quoted(name)}", folder)


def planned(side: Side, table: Table, number: int, wish: Wish) -> Plan:
    """By a look at both. Without a base for this table all that the target has is taken for its own."""
    columns = tuple(side.columns(table.name))
    compared = compared_columns(side, table.name, wish.rewriting)
    key, row = expressions(side, table, compared)
    kept = tuple(one for one in columns if one not in compared)
    plan = Plan(table, columns, kept, key, row, number)
    names = listed(side, columns)
    side.temporary(plan.new, f"AS SELECT {names} FROM {side.seen(table.name)} WHERE 1 = 0")
    side.receive(table.name, plan.new, columns, _passes(side, table.name, columns, wish.rewriting))
    if wish.remember and wish.as_target:
        _write(side, table, compared, f"SELECT {key}, {row} FROM {plan.new}", wish.remember)
    if known := _base(side, plan, compared, wish.base):
        plan = replace(plan, part=side.digest(table.name, known))
    side.temporary(
        plan.plan, "(k VARCHAR(80) PRIMARY KEY, s CHAR(32), sb CHAR(32), t CHAR(32), tb CHAR(32), b CHAR(32))"
    )
    _compare(side, plan, side.seen(table.name))
    if plan.whole:
        return replace(plan, change=_whole(side, plan))
    _find_keys(side, plan)
    plan = replace(plan, change=_rows(side, plan))
    _prepare(side, plan)
    return plan


def again(side: Side, plan: Plan) -> Plan:
    """The plan by what the target holds now that nobody else writes to what it touches."""
    if tuple(side.columns(plan.table.name)) != plan.columns:
        raise Refused(
            f"The columns of {plan.table.name} are not what they were when both sides were compared.",
            "Move again.",
        )
    if plan.whole:
        side.do(f"DELETE FROM {plan.plan}")
        _compare(side, plan, side.quoted(plan.table.name))
        return replace(plan, change=_whole(side, plan))
    side.do(
        f"INSERT INTO {plan.now} SELECT gitdeploy_k, {plan.row}, {plan.part or plan.row} "
        f"FROM {plan.found(side)} AND {plan.key} = gitdeploy_k"
    )
    t, tb = (
        f"(SELECT {plan.now}.{one} FROM {plan.now} WHERE {plan.now}.k = {plan.plan}.k)" for one in ("t", "tb")
    )
    written = f"COALESCE(t, '') <> COALESCE({t}, '')"
    if _counted(side, plan, written) == [0]:
        return plan
    side.do(f"UPDATE {plan.plan} SET t = {t}, tb = {tb} WHERE {written}")
    before, now = plan.change, _rows(side, plan)
    _trim(side, plan.keys, plan)
    _trim(side, plan.coming, plan)
    names = (*before.kept_rows, *now.kept_rows)[:NAMED]
    return replace(plan, change=replace(now, kept=before.kept + now.kept, kept_rows=names))


def compared_columns(reader: Reader, table: str, rewriting: Rewriting) -> list[str]:
    return sorted(one for one in reader.columns(table) if not rewriting.keeps(f"{table}.{one}"))


def expressions(reader: Reader, table: Table, compared: Sequence[str]) -> tuple[str, str]:
    row = reader.digest(table.name, compared)
    return (reader.digest(table.name, table.key) if table.key else reader.numbered(row)), row


def listed(reader: Reader, columns: Iterable[str]) -> str:
    return ", ".join(reader.name(one) for one in columns)


def keys_file(table: str) -> str:
    return f"{quote(table, safe='')}.keys"


# Private


def _write(reader: Reader, table: Table, columns: Sequence[str], line: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / keys_file(table.name)).open("w", encoding="ascii") as file:
        file.write(json.dumps({"columns": columns, "key": list(table.key)}) + "\n")
        for key, row in reader.stream(f"{line} ORDER BY 1"):
            file.write(f"{key} {row}\n")


def _base(side: Side, plan: Plan, compared: list[str], folder: Path | None) -> list[str]:
    """The columns that the base knows of this table, whose rows are then in a temporary table; empty without one."""
    file = folder / keys_file(plan.table.name) if folder else None
    if file is None or not file.exists():
        return []
    with file.open(encoding="ascii") as lines:
        head = json.loads(next(lines))
        if head["key"] != list(plan.table.key) or not set(head["columns"]) <= set(compared):
            return []
        side.temporary(plan.base, "(k VARCHAR(80) PRIMARY KEY, h CHAR(32))")
        side.fill(plan.base, (line.split() for line in lines))
    return list(head["columns"])


def _compare(side: Side, plan: Plan, target: str) -> None:
    """Of each key: `s` and `t` tell the row in source and target, `sb` and `tb` only the columns that the base knows,
    and `b` the row in the base.
    """
    is_all = plan.part in ("", plan.row)  # then one digest is enough
    part, sb, tb = ("NULL", "max(s)", "max(t)") if is_all else (plan.part, "max(sb)", "max(tb)")
    parts = [
        f"SELECT {plan.key} AS k, {plan.row} AS s, {part} AS sb, NULL AS t, NULL AS tb, NULL AS b FROM {plan.new}",
        f"SELECT {plan.key}, NULL, NULL, {plan.row}, {part}, NULL FROM {target}",
    ]
    if plan.part:
        parts.append(f"SELECT k, NULL, NULL, NULL, NULL, h FROM {plan.base}")
    side.do(
        f"INSERT INTO {plan.plan} SELECT k, max(s), {sb}, max(t), {tb}, max(b) "
        f"FROM ({' UNION ALL '.join(parts)}) x GROUP BY k"
    )


def _find_keys(side: Side, plan: Plan) -> None:
    """The values of the keys of all rows that are not the same."""
    side.do(f"DELETE FROM {plan.plan} WHERE s = t OR (s IS NULL AND t IS NULL)")
    values = ", ".join(f"{side.name(one)} AS gitdeploy_{n}" for n, one in enumerate(plan.table.key, 1))
    side.keyed(
        plan.keys,
        f"SELECT {plan.key} AS gitdeploy_k, {values} FROM {plan.new} WHERE {plan.where('s IS NOT NULL', plan.key)} "
        f"UNION ALL SELECT {plan.key}, {listed(side, plan.table.key)} FROM {side.seen(plan.table.name)} "
        f"WHERE {plan.where('s IS NULL', plan.key)}",
    )


def _prepare(side: Side, plan: Plan) -> None:
    """What will be needed to make the move, found by keys, so that no whole table has to be read then."""
    _trim(side, plan.keys, plan)
    names = listed(side, plan.columns)
    key = f"SELECT {plan.key} AS gitdeploy_k, {names} FROM"
    side.keyed(plan.coming, f"{key} {plan.new} WHERE {plan.where('s IS NOT NULL', plan.key)}")
    side.keyed(plan.gone, f"{key} {plan.new} WHERE 1 = 0")
    side.temporary(plan.now, "(k VARCHAR(80) PRIMARY KEY, t CHAR(32), tb CHAR(32))")
    side.do(f"DROP TABLE {plan.new}")


def _trim(side: Side, table: str, plan: Plan) -> None:
    """Only what is in the plan is needed."""
    side.do(
        f"DELETE FROM {table} WHERE NOT EXISTS (SELECT 1 FROM {plan.plan} WHERE {plan.plan}.k = gitdeploy_k)"
    )


def _rows(side: Side, plan: Plan) -> RowChange:
    """What is left in the plan is what will be done."""
    side.do(f"DELETE FROM {plan.plan} WHERE s = t OR (s IS NULL AND t IS NULL)")
    conflict, kept = "t IS NOT NULL", 0
    names: tuple[str, ...] = ()
    if plan.part:
        stays = "((s IS NULL AND b IS NULL) OR (sb = b AND COALESCE(tb, '') <> b))"
        (kept,) = _counted(side, plan, stays)
        names = _named(side, plan, stays) if kept else ()
        side.do(f"DELETE FROM {plan.plan} WHERE {stays}")
        conflict = "(COALESCE(tb, '') <> COALESCE(b, '') OR COALESCE(sb, '') = b)"
    added, changed, removed = _counted(
        side, plan, "t IS NULL", "s IS NOT NULL AND t IS NOT NULL", "s IS NULL"
    )
    return RowChange(added, changed, removed, _named(side, plan, conflict), kept, names)


def _whole(side: Side, plan: Plan) -> RowChange:
    """The number of a row among its like takes the place of a key."""
    added, removed, there, source, target = _counted(
        side, plan, "s IS NOT NULL AND t IS NULL", "s IS NULL AND t IS NOT NULL", "t IS NOT NULL",
        "COALESCE(sb, '') <> COALESCE(b, '')", "COALESCE(tb, '') <> COALESCE(b, '')",
    )  # fmt: skip
    name = (f"{plan.table.name} (has no primary key)",)
    if not (added or removed):
        return RowChange()
    if plan.part and not source:
        return RowChange(kept=target, kept_rows=name)
    conflict = target if plan.part else there
    return RowChange(added, 0, removed, name if conflict else ())


def _counted(side: Side, plan: Plan, *conditions: str) -> list[int]:
    counts = ", ".join(f"COUNT(CASE WHEN {one} THEN 1 END)" for one in conditions)
    return [int(one) for one in next(iter(list(side.stream(f"SELECT {counts} FROM {plan.plan}"))))]


def _named(side: Side, plan: Plan, which: str) -> tuple[str, ...]:
    values = ", ".join(f"gitdeploy_{n}" for n, _ in enumerate(plan.table.key, 1))
    found = side.stream(
        f"SELECT {values} FROM {plan.keys} WHERE {plan.where(which)} ORDER BY {values} LIMIT {NAMED}"
    )
    pairs = (zip(plan.table.key, row, strict=True) for row in found)
    return tuple(
        f"{plan.table.name} {' '.join(f'{name}={_shown(value)}' for name, value in row)}" for row in pairs
    )


def _shown(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _passes(side: Side, table: str, columns: Iterable[str], rewriting: Rewriting) -> dict[str, Pass]:
    found: dict[str, Pass] = {}
    texts = side.texts(table)
    for column in columns:
        name = f"{table}.{column}"
        if kind := rewriting.masks(name):
            if column not in texts and kind != "null":
                raise Refused(
                    f"{name} is no text, which is all that can be masked as {kind}.", "Mask it as null."
                )
            found[column] = Pass(masker(kind, rewriting.key), kind)
        elif column in texts and rewriting.replaces(name):
            found[column] = Pass(replacer(rewriting.replace))
    return found
