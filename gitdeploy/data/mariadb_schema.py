"""The shape of a MariaDB database, read from information_schema (MariaDB manual, "Information Schema Tables")."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from gitdeploy.data.engine import MARKS
from gitdeploy.data.mariadb_link import PLAIN, Link, quoted, text
from gitdeploy.domain.schema import Column, Schema, Table
from gitdeploy.errors import Failed

SWAP = "gitdeploy_swap"
"""The table that holds what a swap has still to do."""

NUMBERS = frozenset(
    ("tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "year")
)
_SHAPES = frozenset(
    ("geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
     "geometrycollection")
)  # fmt: skip
_OURS = f"TABLE_SCHEMA = DATABASE() AND TABLE_NAME NOT IN ('{MARKS}', '{SWAP}')"
_BEGIN = re.compile(r"CREATE\s+(?:OR\s+REPLACE\s+)?(ALGORITHM\s*=\s*\w+\s+)?", re.IGNORECASE)
_DEFINER = re.compile(r"\sDEFINER\s*=\s*(?:`(?:[^`]|``)*`|\S+?)@(?:`(?:[^`]|``)*`|\S+)", re.IGNORECASE)


@dataclass(frozen=True)
class Value:
    """A column whose values are stored, not computed. `kind` is its type without length; `charset` empty when it is
    not text.
    """

    name: str
    kind: str
    charset: str

    @property
    def exact(self) -> str:
        """The expression that loses nothing: a FLOAT is written with six digits only."""
        return f"CAST({quoted(self.name)} AS DOUBLE)" if self.kind == "float" else quoted(self.name)

    @property
    def hashable(self) -> str:
        return f"ST_AsWKB({quoted(self.name)})" if self.kind in _SHAPES else self.exact


@dataclass(frozen=True)
class Other:
    """A view, trigger, routine or event. `text` makes it and names no role; `mode` is the sql_mode that it needs."""

    kind: str
    name: str
    text: str
    mode: str


def read(link: Link) -> Schema:
    columns: dict[str, list[Column]] = defaultdict(list)
    for table, name, type_, required in link.rows(
        "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, IS_NULLABLE = 'NO' AND COLUMN_DEFAULT IS NULL AND EXTRA = '' "
        f"FROM information_schema.COLUMNS WHERE {_OURS} ORDER BY TABLE_NAME, ORDINAL_POSITION"
    ):
        columns[str(table)].append(Column(str(name), str(type_), required == "1"))
    keys, rules, refers = _rules(link)
    return Schema(
        {
            name: Table(
                name, tuple(columns[name]), keys.get(name, ()), rules[name], tuple(sorted(refers[name]))
            )
            for name in tables(link)
        },
        {f"{one.kind.lower()} {one.name}": one.text for one in others(link)},
    )


def tables(link: Link) -> list[str]:
    return [
        str(name)
        for (name,) in link.rows(
            f"SELECT TABLE_NAME FROM information_schema.TABLES WHERE {_OURS} AND TABLE_TYPE = 'BASE TABLE' "
            "ORDER BY TABLE_NAME"
        )
    ]


def values(link: Link, table: str) -> list[Value]:
    return [
        Value(str(name), str(kind), str(charset or ""))
        for name, kind, charset in link.rows(
            "SELECT COLUMN_NAME, DATA_TYPE, CHARACTER_SET_NAME FROM information_schema.COLUMNS "
            f"WHERE {_OURS} AND TABLE_NAME = {text(table)} AND COALESCE(GENERATION_EXPRESSION, '') = '' "
            "ORDER BY ORDINAL_POSITION"
        )
    ]


def hash_of(columns: Iterable[Value]) -> str:
    """Of each value a digest of its own: a whole row might be longer than the server lets a text become."""
    parts = ", ".join(f"IFNULL(MD5({one.hashable}), '-')" for one in columns)
    return f"MD5(CONCAT('', {parts}))"


def begin_reading(link: Link) -> None:
    """From here on the rows are as they are now. Every table is touched, so that none changes its shape meanwhile.

    Raises Failed when there is a table that cannot be read at one instant.
    """
    check_kinds(link)
    link.do("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    link.do("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
    for table in tables(link):
        link.do(f"SELECT 1 FROM {quoted(table)} LIMIT 0")


def check_kinds(link: Link) -> None:
    """Raises Failed when there is what has no instant: tables without transactions, histories, sequences."""
    for name, kind, engine in link.rows(
        f"SELECT TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.TABLES WHERE {_OURS} "
        "AND TABLE_TYPE <> 'VIEW' ORDER BY TABLE_NAME"
    ):
        if kind != "BASE TABLE":
            raise Failed(
                f"{name} is a {str(kind).lower()} of MariaDB, which gitdeploy cannot carry along.",
                "Use an ordinary table with AUTO_INCREMENT or columns of your own instead.",
            )
        if engine != "InnoDB":
            raise Failed(
                f"The table {name} is kept by {engine}, which cannot be read at one instant.",
                f"Run: ALTER TABLE {quoted(str(name))} ENGINE=InnoDB",
            )


def others(link: Link) -> Iterator[Other]:
    """In an order in which they can be made; views may still need each other."""
    for kind, name in link.rows(
        "SELECT ROUTINE_TYPE, ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() "
        "ORDER BY ROUTINE_TYPE, ROUTINE_NAME"
    ):
        yield _shown(link, str(kind), str(name), at=2, mode=1)
    for (name,) in link.rows(
        "SELECT TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = DATABASE() ORDER BY TABLE_NAME"
    ):
        yield _shown(link, "VIEW", str(name), at=1)
    for (name,) in link.rows(
        "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() "
        "ORDER BY EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER"
    ):
        yield _shown(link, "TRIGGER", str(name), at=2, mode=1)
    for (name,) in link.rows(
        "SELECT EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE() ORDER BY EVENT_NAME"
    ):
        yield _shown(link, "EVENT", str(name), at=3, mode=1)


def make(link: Link, wanted: Iterable[Other], role: str = "CURRENT_USER") -> None:
    """Make what `others` found, to run with the rights of this role, as SQL names it. What is there is replaced."""
    left = list(wanted)
    while left:
        failed = [(one, error) for one in left if (error := _make(link, one, role))]
        if len(failed) == len(left):
            raise failed[0][1]
        left = [one for one, _ in failed]


def foreign_keys(link: Link) -> Iterator[tuple[str, ...]]:
    """Table, constraint, table referred to, columns, columns referred to, and what happens on delete and update."""
    for row in link.rows(
        "SELECT k.TABLE_NAME, k.CONSTRAINT_NAME, k.REFERENCED_TABLE_NAME, "
        "GROUP_CONCAT(k.COLUMN_NAME ORDER BY k.ORDINAL_POSITION), "
        "GROUP_CONCAT(k.REFERENCED_COLUMN_NAME ORDER BY k.ORDINAL_POSITION), r.DELETE_RULE, r.UPDATE_RULE "
        "FROM information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS r "
        "ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME "
        "AND r.TABLE_NAME = k.TABLE_NAME WHERE k.TABLE_SCHEMA = DATABASE() AND k.REFERENCED_TABLE_NAME IS NOT NULL "
        "GROUP BY k.TABLE_NAME, k.CONSTRAINT_NAME"
    ):
        yield tuple(str(one) for one in row)


# Private


def _make(link: Link, one: Other, role: str) -> Failed | None:
    link.do(f"SET sql_mode = {text(one.mode)}")
    try:
        begin = _BEGIN.match(one.text)
        assert begin is not None
        link.do(f"CREATE OR REPLACE {begin[1] or ''}DEFINER={role} {one.text[begin.end() :]}")
    except Failed as error:
        return error
    finally:
        link.do(f"SET sql_mode = '{PLAIN}'")
    return None


def _shown(link: Link, kind: str, name: str, *, at: int, mode: int = 0) -> Other:
    found = link.rows(f"SHOW CREATE {kind} {quoted(name)}")[0]
    if found[at] is None:
        raise Failed(
            f"The {kind.lower()} {name} belongs to another role, and MariaDB does not show what it does.",
            "Make it again as the role of this database.",
        )
    written = _DEFINER.sub("", str(found[at]), count=1)
    return Other(kind, name, written, str(found[mode] or "") if mode else "")


def _rules(
    link: Link,
) -> tuple[Mapping[str, tuple[str, ...]], Mapping[str, dict[str, str]], Mapping[str, set[str]]]:
    keys: dict[str, tuple[str, ...]] = {}
    rules: dict[str, dict[str, str]] = defaultdict(dict)
    refers: dict[str, set[str]] = defaultdict(set)
    own: set[tuple[str, str]] = (
        set()
    )  # indexes that MariaDB makes for a foreign key, and drops for a better one
    for table, name, other, columns, theirs, gone, changed in foreign_keys(link):
        refers[table].add(other)
        rules[table][name] = f"FOREIGN KEY {columns} {other}.{theirs} {gone} {changed}"
        own |= {(table, name), (table, columns.split(",")[0])}
    for table_, index, plain, inside in link.rows(
        "SELECT TABLE_NAME, INDEX_NAME, NON_UNIQUE, GROUP_CONCAT(COLUMN_NAME, COALESCE(CONCAT('(', SUB_PART, ')'), '') "
        f"ORDER BY SEQ_IN_INDEX) FROM information_schema.STATISTICS WHERE {_OURS} "
        "GROUP BY TABLE_NAME, INDEX_NAME, NON_UNIQUE"
    ):
        table, name, columns = str(table_), str(index), str(inside)
        if name == "PRIMARY":
            keys[table] = tuple(columns.split(","))
        elif plain != "1" or (table, name) not in own:
            rules[table][name] = f"{'INDEX' if plain == '1' else 'UNIQUE INDEX'} {columns}"
    for table_, check, clause in link.rows(
        "SELECT TABLE_NAME, CONSTRAINT_NAME, CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS "
        "WHERE CONSTRAINT_SCHEMA = DATABASE()"
    ):
        rules[str(table_)][f"check {check}"] = f"CHECK {clause}"
    return keys, rules, refers
