"""A connection to a SQLite database, and its shape, read from its own catalog."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gitdeploy.data.engine import MARKS
from gitdeploy.data.url import parse
from gitdeploy.domain.schema import Column, Schema, Table
from gitdeploy.domain.snapshot import Count
from gitdeploy.errors import Failed

_PATIENCE = 30.0  # seconds that a lock of a writer is waited for
_OFTEN = 0.002  # seconds


@contextlib.contextmanager
def connect(url: str) -> Iterator[sqlite3.Connection]:
    """Raises Failed. A database that nobody has made yet is an empty one."""
    path = parse(url).path
    try:
        connection = sqlite3.connect(place(path), uri=True, timeout=_PATIENCE, isolation_level=None)
    except sqlite3.Error as error:
        raise Failed(f"The database {path.name} cannot be opened: {error}.") from error
    with contextlib.closing(connection):
        connection.create_aggregate("gitdeploy_sum", -1, Sum)  # type: ignore[arg-type]
        yield connection


def begin_writing(connection: sqlite3.Connection) -> None:
    """Asks again and again: SQLite itself would ask less and less often, and be let in by chance where others write
    without a break.
    """
    connection.execute("PRAGMA busy_timeout = 0")
    until = time.monotonic() + _PATIENCE
    while not connection.in_transaction:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_OFTEN)
    connection.execute(f"PRAGMA busy_timeout = {int(_PATIENCE * 1000)}")


def place(path: Path) -> str:
    """What SQLite opens: a file that is there already, or nothing."""
    return f"{path.as_uri()}?mode=rw" if os.path.lexists(path) else ":memory:"


@contextlib.contextmanager
def told() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise Failed(f"SQLite: {error}.") from error


class Sum:
    """Adds up the hashes of rows: 64 bits of each one's BLAKE2b, so that their order does not matter."""

    def __init__(self) -> None:
        self.total = 0

    def step(self, *row: Any) -> None:
        self.total += int.from_bytes(hashlib.blake2b(repr(row).encode(), digest_size=8).digest(), "big")

    def finalize(self) -> str:
        return str(self.total)


def count(connection: sqlite3.Connection, table: str) -> Count:
    shown = ", ".join(quoted(one) for one in columns(connection, table))
    with told():
        row = connection.execute(f"SELECT count(*), gitdeploy_sum({shown}) FROM {quoted(table)}").fetchone()
    return Count(row[0], row[1] or "0")


def read_schema(connection: sqlite3.Connection) -> Schema:
    """Virtual tables count as what they are made of; a table's indexes and constraints are its own text."""
    tables, others = {}, {}
    for kind, name, table, text in connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"):
        if name.startswith("sqlite_") or table == MARKS:
            continue
        if kind == "table" and not (text or "").upper().startswith("CREATE VIRTUAL"):
            tables[name] = _table(connection, name)
        elif kind != "index":
            others[f"{kind} {name}"] = text or ""
    return Schema(tables, others)


def shape_of(connection: sqlite3.Connection) -> list[str]:
    """The lines that make a database of the same shape. What a virtual table keeps its rows in comes with it."""
    shadows = {row[1] for row in connection.execute("PRAGMA main.table_list") if row[2] == "shadow"}
    found = connection.execute(
        "SELECT tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
        "ORDER BY type <> 'table', type = 'trigger'"
    )
    return [line for table, line in found if table not in shadows and table != MARKS]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


# Private


def columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [
        row[1] for row in connection.execute(f"PRAGMA table_xinfo({quoted(table)})") if row[6] in (0, 2, 3)
    ]


def _table(connection: sqlite3.Connection, name: str) -> Table:
    columns, keys = [], []
    for _, column, type_, not_null, default, place, hidden in connection.execute(
        f"PRAGMA table_xinfo({quoted(name)})"
    ):
        if hidden == 1:
            continue
        given = default is not None or place > 0 or hidden in (2, 3)
        columns.append(Column(column, type_.upper(), bool(not_null) and not given))
        if place:
            keys.append((place, column))
    rules, refers = {}, set()
    for row in connection.execute(f"PRAGMA foreign_key_list({quoted(name)})"):
        refers.add(row[2])
        rules[f"{row[3]} refers to {row[2]}"] = f"FOREIGN KEY {row[3]} {row[2]}.{row[4]} {row[5]} {row[6]}"
    for row in connection.execute(f"PRAGMA index_list({quoted(name)})"):
        inside = ",".join(str(one[2]) for one in connection.execute(f"PRAGMA index_info({quoted(row[1])})"))
        if row[3] != "pk":
            label = row[1] if row[3] == "c" else f"unique {inside}"
            rules[label] = f"{'UNIQUE INDEX' if row[2] else 'INDEX'} {inside}"
    return Table(name, tuple(columns), tuple(one for _, one in sorted(keys)), rules, tuple(sorted(refers)))
