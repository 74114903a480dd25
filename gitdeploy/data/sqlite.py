"""SQLite: a file in the data folder of an environment, copied by SQLite itself while programs write to it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from gitdeploy.data import content, sqlite_content
from gitdeploy.data.content_side import Mover, Wish
from gitdeploy.data.engine import MARKS
from gitdeploy.data.sqlite_link import connect, count, read_schema, shape_of, told
from gitdeploy.data.url import parse
from gitdeploy.domain.schema import Schema
from gitdeploy.domain.snapshot import Facts
from gitdeploy.user import User, files_as

FILE = "database.sqlite"
_STEP = 4096  # pages copied at a time


class Sqlite:
    """`user` is who writes to the databases, if that is not us: they are opened with no more rights than that."""

    name = "sqlite"

    def __init__(self, user: User | None = None) -> None:
        self._user = user

    @contextlib.contextmanager
    def instant(self, url: str) -> Iterator[SqliteInstant]:
        with contextlib.ExitStack() as opened, told():
            with files_as(self._user):
                live = opened.enter_context(connect(url))
                live.execute("BEGIN")
                live.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on it is fixed
            yield SqliteInstant(live, opened)

    def schema(self, url: str) -> Schema:
        with files_as(self._user), connect(url) as connection, told():
            return read_schema(connection)

    def load(self, url: str, folder: Path) -> None:
        target = parse(url).path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / FILE, target)

    def shape(self, source: str, target: str) -> None:
        with files_as(self._user), connect(source) as there, told():
            lines = shape_of(there)
            file = parse(target).path
            file.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644))
            with connect(target) as here:
                for line in lines:
                    here.execute(line)

    @contextlib.contextmanager
    def compared(self, source: str, target: str, tables: Sequence[str], wish: Wish) -> Iterator[Mover]:
        with (
            sqlite_content.opened(source, target, self._user) as side,
            content.compared(side, tables, wish) as move,
        ):
            yield move

    def settle(self, url: str, mark: str) -> bool:
        with files_as(self._user):
            return sqlite_content.settle(url, mark)


class SqliteInstant:
    def __init__(self, live: sqlite3.Connection, opened: contextlib.ExitStack) -> None:
        self._connection = live
        self._opened = opened

    def facts(self) -> Facts:
        schema = read_schema(self._connection)
        return Facts(schema, {name: count(self._connection, name) for name in schema.tables})

    def dump(self, folder: Path) -> None:
        """Page by page, so that pages that did not change are the same bytes. Programs that write without a
        write-ahead log wait for as long as this takes and no longer: what is asked after it is asked of the copy.
        """
        file = folder / FILE
        with told(), contextlib.closing(sqlite3.connect(file, isolation_level=None)) as copy:
            self._connection.backup(copy, pages=_STEP)
            copy.execute(f"DROP TABLE IF EXISTS {MARKS}")
        self._connection.execute("COMMIT")
        self._connection = self._opened.enter_context(connect(f"sqlite:///{file}"))
