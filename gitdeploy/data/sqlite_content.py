"""Moving rows between two SQLite databases. What is looked at are copies of both, in temporary files: without a
write-ahead log who reads keeps others from writing, which so takes no longer than a copy.

No trigger fires for what is moved: they are dropped and made again within the transaction.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gitdeploy.data import content
from gitdeploy.data.content_side import Pass, Plan, Reader
from gitdeploy.data.engine import MARKS
from gitdeploy.data.sqlite_link import begin_writing, connect, quoted, read_schema, told
from gitdeploy.domain.content import ForeignKey
from gitdeploy.domain.schema import Schema
from gitdeploy.user import User, files_as

_SOURCE, _SEEN = "gitdeploy_source", "gitdeploy_seen"
"""What the copies of source and target are called."""
_TEMPORARY = "/var/tmp"


@contextlib.contextmanager
def opened(source: str, target: str, user: User | None) -> Iterator[SqliteSide]:
    """`user` is whose rights the files are opened and made with."""
    with contextlib.ExitStack() as left:
        with files_as(user):
            connection = left.enter_context(connect(target))
        connection.execute("PRAGMA foreign_keys = OFF")
        shapes: list[Schema] = []
        for url, name in ((source, _SOURCE), (target, _SEEN)):
            with _copied(url, user) as (file, shape), told():  # its name is not needed once it is open
                connection.execute(f"ATTACH {_text(f'{file.as_uri()}?immutable=1')} AS {name}")
            shapes.append(shape)
        source_reader = SqliteReader(connection, shapes[0], _SOURCE)
        # What the commit leaves in a write-ahead log is taken out of it afterwards, when nobody waits any more.
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        yield SqliteSide(connection, shapes[1], source_reader, user)
        if not connection.in_transaction:
            with files_as(user), told():
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


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
    equals = "IS"
    beside = "CROSS JOIN"
    sharing = ""

    def __init__(
        self, connection: sqlite3.Connection, shape: Schema, source: SqliteReader, user: User | None
    ) -> None:
        super().__init__(connection, shape)
        self._user = user
        self.source: Reader = source

    def do(self, line: str) -> None:
        """A journal is made with no more rights than the database was opened with."""
        with files_as(self._user), told():
            self._connection.execute(line)

    def temporary(self, name: str, definition: str) -> None:
        self.do(f"CREATE TEMP TABLE {name} {definition}")

    def keyed(self, name: str, select: str) -> None:
        self.temporary(name, f"AS {select}")
        self.do(f"CREATE INDEX temp.{name}_k ON {name} (gitdeploy_k)")

    def fill(self, name: str, rows: Iterable[Sequence[str]]) -> None:
        with told():
            self._connection.executemany(f"INSERT INTO {name} VALUES (?, ?)", rows)

    def texts(self, table: str) -> list[str]:
        """Any column may."""
        return self.columns(table)

    def seen(self, table: str) -> str:
        return f"{_SEEN}.{quoted(table)}"

    def looked(self) -> None:
        for name in (_SOURCE, _SEEN):
            self.do(f"DETACH {name}")

    def begin(self, _plans: Sequence[Plan]) -> None:
        """There is one writer of the whole database, and that is this one."""
        with files_as(self._user), told():
            begin_writing(self._connection)
            _make_marks(self._connection)

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

    def remove(self, plan: Plan, which: str) -> None:
        if plan.whole:
            self.do(f"DELETE FROM {self.quoted(plan.table.name)}")
            return
        values = ", ".join(f"gitdeploy_{n}" for n, _ in enumerate(plan.table.key, 1))
        match = " AND ".join(f"{quoted(one)} IS ?" for one in plan.table.key)
        keys = list(self.stream(f"SELECT {values} FROM {plan.keys} WHERE {plan.where(which)}"))
        with files_as(self._user), told():
            self._connection.executemany(f"DELETE FROM {self.quoted(plan.table.name)} WHERE {match}", keys)

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


@contextlib.contextmanager
def _copied(url: str, user: User | None) -> Iterator[tuple[Path, Schema]]:
    """A copy of the database as it is at one instant, and its shape. It lies where SQLite has its temporary tables."""
    with contextlib.ExitStack() as left:
        with files_as(user), told():
            live = left.enter_context(connect(url))
            live.execute("BEGIN")
            live.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        folder = left.enter_context(tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", _TEMPORARY)))
        file = Path(folder) / "copy"
        with told(), contextlib.closing(sqlite3.connect(file, isolation_level=None)) as copy:
            copy.execute("PRAGMA synchronous = OFF")
            live.backup(copy)
            shape = read_schema(copy)
        live.execute("COMMIT")
        yield file, shape


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _make_marks(connection: sqlite3.Connection) -> None:
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS main.{MARKS} "
        "(id VARCHAR(200) PRIMARY KEY, made INTEGER NOT NULL, at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)"
    )
