"""A move of content from one environment into another: what was asked for, what it came to, how it ended."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from gitdeploy.domain.content import RowChange
from gitdeploy.domain.file_change import FileChange
from gitdeploy.domain.globs import matches
from gitdeploy.domain.move_outcome import Outcome

OPEN = ("prepared", "moving")
"""`prepared`: nothing has changed yet. `moving`: the database says whether it was made; without one it was."""
OTHERS, FILES = "other tables", "files"
_LISTED = 10  # names in a line


@dataclass(frozen=True)
class Chosen:
    """What is to move: `only` as `content.choose` takes it, all without. With `overwrite` the source wins where both
    sides have changed something. `into` is the database that takes part, once that is known; empty for none.
    """

    database: bool = True
    files: bool = True
    only: tuple[str, ...] = ()
    overwrite: bool = False
    into: str = ""

    @classmethod
    def of(cls, database: bool, files: bool, only: Iterable[str], overwrite: bool) -> Chosen:
        """Neither part means both. The words `database` and `files` among `only` are the parts."""
        words = tuple(dict.fromkeys(only))
        parts = {"database": database or "database" in words, "files": files or "files" in words}
        if not any(parts.values()):
            parts = dict.fromkeys(parts, True)
        only = tuple(one for one in words if one not in parts)
        return cls(parts["database"], parts["files"], only, overwrite)

    def as_json(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Move:
    """A row of the ledger. `source` and `target` are environments by name; `chosen` is the JSON of what was chosen,
    `report` that of what came of it; `snapshot` what the target was captured as before, such as `s12`, empty for none.
    `state` is `prepared moving completed failed`.
    """

    id: str
    site: str
    source: str
    target: str
    actor: str
    reason: str
    chosen: str
    state: str
    created_at: str
    snapshot: str = ""
    report: str = "{}"
    finished_at: str | None = None
    error: str = ""

    @property
    def outcome(self) -> Outcome:
        """What came of it, nothing before that is known."""
        found: Outcome = json.loads(self.report)
        return found

    @property
    def asked(self) -> Chosen:
        said = json.loads(self.chosen)
        return Chosen(**{**said, "only": tuple(said["only"])})


@dataclass(frozen=True)
class Category:
    """What comes of one group, of the tables that are in none, or of the files that are in none."""

    name: str
    tables: Mapping[str, RowChange] = field(default_factory=dict)
    files: FileChange = field(default_factory=FileChange)

    def line(self) -> str:
        parts = [f"{name} {_counts(one)}" for name, one in self.tables.items() if not one.is_empty]
        if not self.files.is_empty:
            parts.append(f"files {_counts(self.files)}")
        return f"{self.name}: {'; '.join(parts) or 'the same'}"


@dataclass(frozen=True)
class Report:
    """What a move comes to. `withheld` may not move, `links` never do; `refers` maps a table that moves to those it
    refers to that do not.
    """

    categories: tuple[Category, ...] = ()
    withheld: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    refers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return all(
            one.files.is_empty and all(table.is_empty for table in one.tables.values())
            for one in self.categories
        )

    @property
    def conflicts(self) -> tuple[str, ...]:
        return tuple(self._named(lambda table: table.conflicts, lambda files: files.conflicts))

    @property
    def kept(self) -> tuple[str, ...]:
        return tuple(self._named(lambda table: table.kept_rows, lambda files: files.kept))

    def count(self, what: str) -> tuple[int, int]:
        """How many rows and files were `added`, `changed` or `removed`."""
        rows = sum(getattr(table, what) for one in self.categories for table in one.tables.values())
        return rows, sum(len(getattr(one.files, what)) for one in self.categories)

    def lines(self, target: str) -> Iterator[str]:
        """For people. `target` is what the target is called."""
        for one in self.categories:
            yield one.line()
            for mark, paths in (("+", one.files.added), ("~", one.files.changed), ("-", one.files.removed)):
                yield from (f"  {mark} {path}" for path in paths[:_LISTED])
                if len(paths) > _LISTED:
                    yield f"  {mark} … and {len(paths) - _LISTED} more"
        for said, names in (
            ("withheld by [content] never", self.withheld), ("links, which never move", self.links),
            (f"stays as {target} has it, which has changed it since", self.kept),
            (f"changed in {target} too", self.conflicts),
        ):  # fmt: skip
            if names:
                yield f"{said}: {listed(names)}"
        for name, others in self.refers.items():
            yield f"{name} refers to {listed(others)}, which does not move: its rows have to be there"

    def as_json(self) -> Outcome:
        added, changed, removed = (self.count(what) for what in ("added", "changed", "removed"))
        return {
            "groups": [
                {"name": one.name, "tables": {name: table.as_json() for name, table in one.tables.items()},
                 "files": one.files.as_json()}
                for one in self.categories
            ],
            "rows": {"added": added[0], "changed": changed[0], "removed": removed[0]},
            "files": {"added": added[1], "changed": changed[1], "removed": removed[1]},
            "withheld": list(self.withheld), "links": list(self.links),
            "conflicts": list(self.conflicts), "kept": list(self.kept),
        }  # fmt: skip

    def _named(self, of_table: Any, of_files: Any) -> Iterator[str]:
        for one in self.categories:
            for table in one.tables.values():
                yield from of_table(table)
            yield from of_files(one.files)


def categories(
    groups: Mapping[str, Sequence[str]], tables: Mapping[str, RowChange], files: FileChange
) -> tuple[Category, ...]:
    """Each table and path once, in the first group that names it."""
    left_tables, left_paths = dict(tables), {*files.coming, *files.removed, *files.kept}
    found = []
    for name, patterns in groups.items():
        mine = {one: left_tables.pop(one) for one in tables if one in left_tables and _any(patterns, one)}
        paths = {path for path in left_paths if _any(patterns, path)}
        left_paths -= paths
        if mine or paths:
            found.append(Category(name, mine, files.among(paths)))
    if left_tables:
        found.append(Category(OTHERS, left_tables))
    if left_paths:
        found.append(Category(FILES, {}, files.among(left_paths)))
    return tuple(found)


def listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


# Private


def _counts(one: RowChange | FileChange) -> str:
    said = {what: getattr(one, what) for what in ("added", "changed", "removed")}
    counts = {what: count if isinstance(count, int) else len(count) for what, count in said.items()}
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def _any(patterns: Iterable[str], name: str) -> bool:
    return any(matches(pattern, name) for pattern in patterns)
