"""Moving rows between two SQLite databases: the source is attached to the target's connection.

No trigger fires for what is moved: they are dropped and made again within the transaction.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from gitdeploy.data import content
from gitdeploy.data.content_side import Pass, Plan, Reader
from gitdeploy.data.engine import MARKS
from gitdeploy.data.sqlite_link import connect, place, quoted, read_schema, told
from gitdeploy.data.url import parse
from gitdeploy.domain.content import ForeignKey
from gitdeploy.domain.schema import Schema
from gitdeploy.user import User, files_as

_SOURCE = "gitdeploy_source"


@contextlib.contextmanager
def opened(source: str, target: str, user: User | None) -> Iterator[SqliteSide]:
    """`user` is whose rights the files are opened and made with."""
    with contextlib.ExitStack() as left:
        with files_as(user), told():
            connection = left.enter_context(connect(target))
            connection.execute(f"ATTACH {_text(place(parse(source).path))} AS {_SOURCE}")
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute("BEGIN")
            _make_marks(connection)
            # A lock on the target alone: others go on writing to the source.
            connection.execute(f"DELETE FROM main.{MARKS} WHERE 1 = 0")
            connection.execute(f"SELECT COUNT(*) FROM {_SOURCE}.sqlite_master").fetchone()
            with connect(source) as other:
                shape = read_schema(other)
        yield SqliteSide(connection, SqliteReader(connection, shape, _SOURCE), user)


class SqliteReader:
    """One of the databases of a connection."""

    def __init__(self, connection: sqlite3.Connection, shape: Schema, place: str = "main") -> None:
        self._connection = connection
        self._shape = shape
        self._place = place
        connection.create_function("gitdeploy_digest", -1, _digest, deterministic=True)

    def schema(self) -> Schema:
        return self._shape

    def columns(self, table: str) -> list[str]:
        """Those that are computed cannot be written."""
        found = self._connection.execute(f"PRAGMA {self._place}.table_xinfo({quoted(table)})")
        return [row[1] for row in found if row[6] == 0]

    def stream(self, line: str) -> Iterator[Sequence[Any]]:
        with told():
            yield from self._connection.execute(line)

    def quoted(self, table: str) -> str:
        return f"{self._place}.{quoted(table)}"

    def name(self, column: str) -> str:
        return quoted(column)

    def digest(self, _table: str, columns: Sequence[str]) -> str:
        return f"gitdeploy_digest({', '.join(map(quoted, columns))})"

    def numbered(self, digest: str) -> str:
        return f"{digest} || '-' || ROW_NUMBER() OVER (PARTITION BY {digest})"


class SqliteSide(SqliteReader):
    sharing = ""

    def __init__(self, connection: sqlite3.Connection, source: SqliteReader, user: User | None) -> None:
        super().__init__(connection, read_schema(connection))
        self._user = user
        self.source: Reader = source

    def do(self, line: str) -> None:
        """A journal is made with no more rights than the database was opened with."""
        with files_as(self._user), told():
            self._connection.execute(line)

    def temporary(self, name: str, definition: str) -> None:
        self.do(f"CREATE TEMP TABLE {name} {definition}")

    def fill(self, name: str, rows: Iterable[Sequence[str]]) -> None:
        with told():
            self._connection.executemany(f"INSERT INTO {name} VALUES (?, ?)", rows)

    def texts(self, table: str) -> list[str]:
        """Any column may."""
        return self.columns(table)

    def lock(self, tables: Sequence[str]) -> None:
        """Nothing to do: there is one writer of the whole database, and that is this one."""

    def receive(self, table: str, into: str, columns: Sequence[str], passes: Mapping[str, Pass]) -> None:
        def passed(column: str, value: Any) -> Any:
            one = passes[column]
            if value is None or not (isinstance(value, str) or one.mask):
                return value
            return one.act(value.decode(errors="replace") if isinstance(value, bytes) else str(value))

        self._connection.create_function("gitdeploy_pass", 2, passed)
        shown = ", ".join(
            f"gitdeploy_pass({_text(one)}, {quoted(one)})" if one in passes else quoted(one)
            for one in columns
        )
        self.do(f"INSERT INTO {into} SELECT {shown} FROM {_SOURCE}.{quoted(table)}")

    def foreign_keys(self) -> list[ForeignKey]:
        schema = self.schema()
        found = []
        for table in schema.tables:
            keys: dict[int, list[tuple[str, str, str]]] = {}
            for row in self._connection.execute(f"PRAGMA main.foreign_key_list({quoted(table)})"):
                parent = schema.tables.get(row[2])
                refers = row[4] or (parent.key[row[1]] if parent and len(parent.key) > row[1] else "rowid")
                keys.setdefault(row[0], []).append((row[2], row[3], refers))
            for parts in keys.values():
                own = tuple(one for _, one, _ in parts)
                if parts[0][0] in schema.tables:
                    name = f"{','.join(own)} refers to {parts[0][0]}"
                    found.append(ForeignKey(name, table, own, parts[0][0], tuple(one for *_, one in parts)))
        return found

    def put(self, plans: Sequence[Plan], keys: Sequence[ForeignKey]) -> None:
        names = ", ".join(_text(plan.table.name) for plan in plans)
        triggers = list(
            self.stream(
                f"SELECT name, sql FROM main.sqlite_master WHERE type = 'trigger' AND tbl_name IN ({names})"
            )
        )
        for name, _ in triggers:
            self.do(f"DROP TRIGGER {quoted(name)}")
        for plan in plans:
            content.set_aside(self, plan)
        content.replace_rows(self, plans)
        content.check_references(self, plans, keys)
        for _, text in triggers:
            self.do(text)

    def commit(self, mark: str) -> None:
        self.do(f"INSERT INTO main.{MARKS} (id, made) VALUES ({_text(mark)}, 1)")
        self.do("COMMIT")


def settle(url: str, mark: str) -> bool:
    """What was not committed by who has died is taken back by opening the file."""
    with connect(url) as connection, told():
        _make_marks(connection)
        connection.execute(f"INSERT OR IGNORE INTO {MARKS} (id, made) VALUES (?, 0)", (mark,))
        found = connection.execute(f"SELECT made FROM {MARKS} WHERE id = ?", (mark,)).fetchone()
    return bool(found[0])


# Private


def _digest(*values: Any) -> str:
    return hashlib.blake2b(repr(values).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _make_marks(connection: sqlite3.Connection) -> None:
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS main.{MARKS} "
        "(id VARCHAR(200) PRIMARY KEY, made INTEGER NOT NULL, at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)"
    )
