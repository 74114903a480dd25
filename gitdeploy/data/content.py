"""Rows move from one database into another of the same engine, in one transaction of the target.

First both are looked at, each as it is at one instant and while others go on writing. The source's rows are brought
into temporary tables of the target. For each table a plan is made there: of every key a digest of the row on each side
and in the base, which is how both were when one was made of the other. So it is known which side changed what.

Then the move is made. The rows that the plan would touch are held and compared again, under the same rules, as they may
have been written since. All others are left alone: what was written there since is as if it were written after the
move. So what is done while others wait grows with what is touched, not with what there is.

What a `Side` must be able to say is all that engines differ in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from gitdeploy.data.content_plan import again, listed, planned, write_keys
from gitdeploy.data.content_side import Mover, Plan, Ready, Side, Wish
from gitdeploy.domain.content import NAMED, ForeignKey, RowChange, check_columns, parents_first
from gitdeploy.errors import Refused


@contextlib.contextmanager
def compared(side: Side, tables: Sequence[str], wish: Wish) -> Iterator[Mover]:
    """Look at both. What is given makes the move, once; a dry run does the same and takes it back. Both raise Refused,
    and then nothing has changed; a dry run tells of conflicts instead of refusing them.
    """
    before, now = side.source.schema(), side.schema()
    check_columns(before.tables, now.tables, tables)
    keys = side.foreign_keys()
    order = parents_first(tables, keys)
    if wish.remember and not wish.as_target:
        write_keys(side.source, order, wish.remember, (*wish.rewriting.keep, *wish.rewriting.mask))
    plans = [planned(side, now.tables[name], number, wish) for number, name in enumerate(order)]
    _refuse_conflicts(plans, wish)
    side.looked()

    def move(ready: Ready) -> dict[str, RowChange]:
        found = {plan.table.name: plan.change for plan in plans}
        touched = [plan for plan in plans if not plan.change.is_empty]
        side.begin(touched)
        last = [again(side, plan) for plan in touched]
        _refuse_conflicts(last, wish)
        side.put([plan for plan in last if not plan.change.is_empty], keys)
        found |= {plan.table.name: plan.change for plan in last}
        if not wish.dry_run:
            ready(found)
            side.commit(wish.mark)
        return found

    yield move


def replace_rows(side: Side, plans: Sequence[Plan], overriding: str = "") -> None:
    """For a target that checks no references meanwhile: whatever is not the same goes, then comes anew. So a unique
    value may pass from one row to another.
    """
    for plan in reversed(plans):
        side.remove(plan, "t IS NOT NULL")
    for plan in plans:
        insert(side, plan, overriding)


def insert(side: Side, plan: Plan, overriding: str = "", then: str = "") -> None:
    names = listed(side, plan.columns)
    side.do(
        f"INSERT INTO {side.quoted(plan.table.name)} ({names}) {overriding} "
        f"SELECT {names} FROM {plan.coming} WHERE 1 = 1 {then}"
    )


def set_aside(side: Side, plan: Plan) -> None:
    """What will be changed or removed, as it is; and the columns that stay are copied from it."""
    names = listed(side, plan.columns)
    if plan.whole:
        side.temporary(plan.gone, f"AS SELECT {names} FROM {side.quoted(plan.table.name)}")
        return
    side.do(
        f"INSERT INTO {plan.gone} SELECT gitdeploy_k, {names} FROM {plan.found(side)} AND {plan.where('t IS NOT NULL')}"
    )
    for one in map(side.name, plan.kept):
        side.do(
            f"UPDATE {plan.coming} SET {one} = (SELECT {plan.gone}.{one} FROM {plan.gone} "
            f"WHERE {plan.gone}.gitdeploy_k = {plan.coming}.gitdeploy_k) WHERE {plan.where('t IS NOT NULL')}"
        )


def check_references(side: Side, plans: Sequence[Plan], keys: Iterable[ForeignKey]) -> None:
    """Raises Refused when rows refer to what is no longer there, or came and refer to what never was."""
    by_name = {plan.table.name: plan for plan in plans}
    for key in keys:
        if (plan := by_name.get(key.child)) and _dangling(side, key, plan.coming, ""):
            raise refers_to_nothing(key.child, key.name, key.parent)
        if (plan := by_name.get(key.parent)) and (plan.change.removed or key.refers != plan.table.key):
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


def _refuse_conflicts(plans: Sequence[Plan], wish: Wish) -> None:
    found = [one for plan in plans for one in plan.change.conflicts]
    if not found or wish.overwrite or wish.dry_run:
        return
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    raise Refused(
        f"Both sides have changed the same rows: {', '.join(found[:NAMED])}{more}.",
        "See what they hold, then move again with overwrite to take the source's.",
    )
