"""Rows move from one database into another of the same engine, in one transaction of the target.

The source's rows are brought into temporary tables of the target. For each table a plan is made there: of every key a
digest of the row on each side and in the base, which is how both were when one was made of the other. So it is known
which side changed what. What a `Side` must be able to say is all that engines differ in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gitdeploy.data.content_plan import listed, planned, write_keys, write_new_keys
from gitdeploy.data.content_side import Plan, Side, Wish
from gitdeploy.domain.content import NAMED, ForeignKey, RowChange, check_columns, parents_first
from gitdeploy.errors import Refused


def move(side: Side, tables: Sequence[str], wish: Wish) -> dict[str, RowChange]:
    """Raises Refused, and then nothing has changed. A dry run does the same and takes it back; it tells of conflicts
    instead of refusing them.
    """
    before, now = side.source.schema(), side.schema()
    check_columns(before.tables, now.tables, tables)
    keys = side.foreign_keys()
    order = parents_first(tables, keys)
    side.lock(list(reversed(order)))
    if wish.remember and not wish.as_target:
        write_keys(side.source, order, wish.remember, (*wish.rewriting.keep, *wish.rewriting.mask))
    plans = [planned(side, now.tables[name], number, wish) for number, name in enumerate(order)]
    if wish.remember and wish.as_target:
        write_new_keys(side, plans, wish.remember)
    conflicts = [one for plan in plans for one in plan.change.conflicts]
    if conflicts and not (wish.overwrite or wish.dry_run):
        raise _conflict(conflicts)
    changing = [plan for plan in plans if not plan.change.is_empty]
    side.put(changing, keys)
    found = {plan.table.name: plan.change for plan in plans}
    if not wish.dry_run:
        wish.ready(found)
        side.commit(wish.mark)
    return found


def replace_rows(side: Side, plans: Sequence[Plan], overriding: str = "") -> None:
    """For a target that checks no references meanwhile: whatever is not the same goes, then comes anew. So a unique
    value may pass from one row to another.
    """
    for plan in reversed(plans):
        side.do(f"DELETE FROM {side.quoted(plan.table.name)} WHERE {plan.where('t IS NOT NULL')}")
    for plan in plans:
        insert(side, plan, overriding)


def insert(side: Side, plan: Plan, overriding: str = "", then: str = "") -> None:
    names = listed(side, plan.columns)
    side.do(
        f"INSERT INTO {side.quoted(plan.table.name)} ({names}) {overriding} SELECT {names} FROM {plan.new} "
        f"WHERE {plan.where('s IS NOT NULL')} {then}"
    )


def set_aside(side: Side, plan: Plan) -> None:
    """What will be changed or removed, as it is; and the columns that stay are copied from it."""
    names, target = listed(side, plan.columns), side.quoted(plan.table.name)
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


def _conflict(found: list[str]) -> Refused:
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return Refused(
        f"Both sides have changed the same rows: {', '.join(found[:NAMED])}{more}.",
        "See what they hold, then move again with overwrite to take the source's.",
    )
