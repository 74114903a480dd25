"""Moving rows between two MariaDB databases, which may be on different servers: the rows are streamed.

References are not checked while rows are replaced, so nothing cascades; that nothing dangles is looked at afterwards.
MariaDB cannot hold back triggers within a transaction: those of the target see a changed row go and come anew.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from gitdeploy.data import content, mariadb_rows, mariadb_schema
from gitdeploy.data.content_side import Pass, Plan, Reader
from gitdeploy.data.engine import MARKS
from gitdeploy.data.mariadb_link import Link, connect, quoted, text
from gitdeploy.data.mariadb_schema import Value
from gitdeploy.domain.content import ForeignKey
from gitdeploy.domain.schema import Schema

_TEXT = re.compile(r"\b(?:VAR)?CHAR\(\d+\)")
_CHARS = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"


@contextlib.contextmanager
def opened(source: str, target: str, dry_run: bool) -> Iterator[MariaDbSide]:
    with connect(source) as there, connect(target) as here:
        mariadb_schema.begin_reading(there)
        if not dry_run:
            _make_marks(here)
        here.do("SET foreign_key_checks = 0")
        # Each table as it is when it is read, with nobody locked out; otherwise INSERT … SELECT locks what it reads.
        here.do("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        yield MariaDbSide(here, MariaDbReader(there))


class MariaDbReader:
    def __init__(self, link: Link) -> None:
        self.link = link
        self._values: dict[str, dict[str, Value]] = {}

    def schema(self) -> Schema:
        return mariadb_schema.read(self.link)

    def columns(self, table: str) -> list[str]:
        return list(self.values(table))

    def values(self, table: str) -> dict[str, Value]:
        if table not in self._values:
            self._values[table] = {one.name: one for one in mariadb_schema.values(self.link, table)}
        return self._values[table]

    def stream(self, line: str) -> Iterator[Sequence[Any]]:
        return self.link.stream(line)

    def quoted(self, table: str) -> str:
        return quoted(table)

    def name(self, column: str) -> str:
        return quoted(column)

    def digest(self, table: str, columns: Sequence[str]) -> str:
        return mariadb_schema.hash_of(self.values(table)[one] for one in columns)

    def numbered(self, digest: str) -> str:
        return f"CONCAT({digest}, '-', ROW_NUMBER() OVER (PARTITION BY {digest}))"


class MariaDbSide(MariaDbReader):
    equals = "="
    beside = "STRAIGHT_JOIN"
    sharing = "LOCK IN SHARE MODE"

    def __init__(self, link: Link, source: MariaDbReader) -> None:
        super().__init__(link)
        self._source = source
        self.source: Reader = source

    def do(self, line: str) -> None:
        self.link.do(line)

    def temporary(self, name: str, definition: str) -> None:
        """Digests are compared byte by byte, and by their index, only in this character set."""
        exact = _TEXT.sub(lambda found: f"{found[0]} {_CHARS}", definition)
        self.do(f"CREATE TEMPORARY TABLE {name} {exact}")

    def keyed(self, name: str, select: str) -> None:
        self.temporary(name, f"(gitdeploy_k VARCHAR(80), INDEX (gitdeploy_k)) AS {select}")

    def fill(self, name: str, rows: Iterable[Sequence[str]]) -> None:
        lines = (f"({','.join(map(text, row))})".encode() for row in rows)
        mariadb_rows.write(self.link, name, ("k", "h"), lines)

    def texts(self, table: str) -> set[str]:
        return {one.name for one in self.values(table).values() if one.charset}

    def seen(self, table: str) -> str:
        return quoted(table)

    def looked(self) -> None:
        self._source.link.do("COMMIT")

    def begin(self, plans: Sequence[Plan]) -> None:
        """Row by row, and the gap where a row may come: unlike LOCK TABLES, this lets others go on reading."""
        self._values.clear()
        self.do("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        self.do("START TRANSACTION")
        for plan in reversed(plans):
            rows = quoted(plan.table.name) if plan.whole else plan.found(self)
            self.link.rows(f"SELECT COUNT(*) FROM {rows} FOR UPDATE")

    def receive(self, table: str, into: str, columns: Sequence[str], passes: Mapping[str, Pass]) -> None:
        values = [self._source.values(table)[one] for one in columns]
        with self._source.link.bytes(), self.link.bytes():
            lines = mariadb_rows.read(self._source.link, table, values, (), passes)
            mariadb_rows.write(self.link, into, columns, lines)

    def foreign_keys(self) -> list[ForeignKey]:
        return [
            ForeignKey(name, child, tuple(columns.split(",")), parent, tuple(refers.split(",")))
            for child, name, parent, columns, refers, *_ in mariadb_schema.foreign_keys(self.link)
        ]

    def remove(self, plan: Plan, which: str) -> None:
        table = quoted(plan.table.name)
        if plan.whole:
            self.do(f"DELETE FROM {table}")
        else:
            self.do(f"DELETE {table} FROM {plan.found(self)} AND {plan.where(which)}")

    def put(self, plans: Sequence[Plan], keys: Sequence[ForeignKey]) -> None:
        for plan in plans:
            content.set_aside(self, plan)
        content.replace_rows(self, plans)
        content.check_references(self, plans, keys)

    def commit(self, mark: str) -> None:
        self.do(f"INSERT INTO {MARKS} (id, made) VALUES ({text(mark)}, 1)")
        self.do("COMMIT")


def settle(url: str, mark: str) -> bool:
    """Writing the mark waits for who has written it and not committed yet, and stops who would write it later."""
    with connect(url) as link:
        _make_marks(link)
        link.do(f"INSERT IGNORE INTO {MARKS} (id, made) VALUES ({text(mark)}, 0)")
        return link.rows(f"SELECT made FROM {MARKS} WHERE id = {text(mark)}") == [("1",)]


def _make_marks(link: Link) -> None:
    link.do(
        f"CREATE TABLE IF NOT EXISTS {MARKS} (id VARCHAR(200) PRIMARY KEY, made INTEGER NOT NULL, "
        "at TIMESTAMP DEFAULT CURRENT_TIMESTAMP) ENGINE=InnoDB"
    )
