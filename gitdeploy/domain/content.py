"""What moves between two environments, and what a move came to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from gitdeploy.domain.globs import matches
from gitdeploy.domain.move_outcome import MovedRows
from gitdeploy.domain.schema import Table
from gitdeploy.errors import Invalid, Refused

NAMED = 20  # conflicts that are told one by one


@dataclass(frozen=True)
class RowChange:
    """How many rows of one table came, changed and went. `conflicts` are rows that both sides have changed, as
    `posts id=7`; `kept` counts those that only the target has, which stay, and `kept_rows` names them. Of either at
    most `NAMED` are named.
    """

    added: int = 0
    changed: int = 0
    removed: int = 0
    conflicts: tuple[str, ...] = ()
    kept: int = 0
    kept_rows: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.added or self.changed or self.removed)

    def as_json(self) -> MovedRows:
        return {
            "added": self.added, "changed": self.changed, "removed": self.removed,
            "conflicts": list(self.conflicts), "kept": self.kept, "kept_rows": list(self.kept_rows),
        }  # fmt: skip


@dataclass(frozen=True)
class Rewriting:
    """What becomes of values on their way. Columns are named `table.column`, as patterns.

    `replace` is put in the place of what it maps from, in `columns` alone. `mask` says how personal data is hidden;
    `key` is the site's own, so that nobody else can tell which value became which. Columns of `keep` stay in the target
    as they are and count for nothing; only rows that are new there get them.
    """

    replace: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ("**",)
    mask: Mapping[str, str] = field(default_factory=dict)
    key: bytes = field(default=b"", repr=False)
    keep: tuple[str, ...] = ()

    def replaces(self, column: str) -> bool:
        return bool(self.replace) and _any(self.columns, column)

    def masks(self, column: str) -> str:
        """The kind of mask, empty without one."""
        return next((kind for pattern, kind in self.mask.items() if matches(pattern, column)), "")

    def keeps(self, column: str) -> bool:
        return _any(self.keep, column)


AS_IS = Rewriting()


@dataclass(frozen=True)
class ForeignKey:
    """`columns` of the table `child` refer to the columns `refers` of the table `parent`, in this order."""

    name: str
    child: str
    columns: tuple[str, ...]
    parent: str
    refers: tuple[str, ...]


@dataclass(frozen=True)
class Selection:
    """What is to move. `withheld` would have moved if it were not in `never`; `missing` maps a table that moves to
    those it refers to that do not.
    """

    tables: tuple[str, ...]
    paths: tuple[str, ...]
    withheld: tuple[str, ...] = ()
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def choose(
    never: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    only: Sequence[str],
    tables: Mapping[str, Table],
    paths: Iterable[str],
) -> Selection:
    """All that there is, or what `only` names: a group (`blog`), a table (`table:posts`), paths (`uploads/blog/**`).

    Groups and `never` hold patterns of tables and of paths. Raises Invalid for a name that nothing has.
    """
    wanted_tables, wanted_paths = _wanted(groups, only, tables)
    in_tables = sorted(name for name in tables if _any(wanted_tables, name))
    in_paths = sorted(path for path in paths if _any(wanted_paths, path))
    chosen = tuple(name for name in in_tables if not _any(never, name))
    missing = {name: tuple(one for one in tables[name].refers if one not in chosen) for name in chosen}
    return Selection(
        chosen,
        tuple(path for path in in_paths if not _any(never, path)),
        tuple(one for one in (*in_tables, *in_paths) if _any(never, one)),
        {name: others for name, others in missing.items() if others},
    )


def check_columns(source: Mapping[str, Table], target: Mapping[str, Table], chosen: Iterable[str]) -> None:
    """Raises Refused when a table that moves has not the same columns and key on both sides."""
    for name in chosen:
        mine, its = source.get(name), target.get(name)
        if mine is None or its is None:
            raise _unequal(f"The table {name} is only on one side.")
        for column in (*mine.columns, *its.columns):
            here, there = mine.column(column.name), its.column(column.name)
            if here is None or there is None:
                raise _unequal(f"The column {name}.{column.name} is only on one side.")
            if here.type != there.type:
                raise _unequal(
                    f"The column {name}.{column.name} is {here.type} on one side and {there.type} on the other."
                )
        if mine.key != its.key:
            raise _unequal(f"The primary key of {name} is not the same on both sides.")


def parents_first(tables: Iterable[str], keys: Iterable[ForeignKey]) -> list[str]:
    """In an order in which a table comes after those that it refers to, as far as they do not refer to each other."""
    names = sorted(tables)
    refers = {name: sorted({one.parent for one in keys if one.child == name}) for name in names}
    order: list[str] = []
    entered: set[str] = set()

    def enter(name: str) -> None:
        if name in entered or name not in refers:
            return
        entered.add(name)
        for parent in refers[name]:
            enter(parent)
        order.append(name)

    for name in names:
        enter(name)
    return order


# Private


def _wanted(
    groups: Mapping[str, Sequence[str]], only: Sequence[str], tables: Iterable[str]
) -> tuple[list[str], list[str]]:
    if not only:
        return ["**"], ["**"]
    names = list(tables)
    of_tables: list[str] = []
    of_paths: list[str] = []
    for one in only:
        pattern = one.removeprefix("table:")
        if one.startswith("table:") and any(matches(pattern, name) for name in names):
            of_tables.append(pattern)
        elif one in groups:
            of_tables += groups[one]
            of_paths += groups[one]
        elif not one.startswith("table:") and ("/" in one or "*" in one):
            of_paths.append(one)
        else:
            raise _unknown(one, [*groups, *(f"table:{name}" for name in names)])
    return of_tables, of_paths


def _unknown(one: str, known: list[str]) -> Invalid:
    near = get_close_matches(one, known, n=1, cutoff=0.5) or [
        name for name in known if name == f"table:{one}"
    ]
    hint = (
        f"Did you mean {near[0]}?" if near else f"There is: {', '.join(sorted(known)) or 'nothing to move'}."
    )
    return Invalid(f"There is no group, table or path {one[:80]!r} to move.", hint)


def _unequal(sentence: str) -> Refused:
    return Refused(sentence, "Promote the code first, so that both sides have the same tables.")


def _any(patterns: Iterable[str], name: str) -> bool:
    return any(matches(pattern, name) for pattern in patterns)
