"""A connection to MariaDB on which every value is what the server wrote: nothing is turned into Python's types."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pymysql
from pymysql.cursors import SSCursor

from gitdeploy.data.url import parse
from gitdeploy.errors import Failed

Row = tuple[str | bytes | None, ...]

PLAIN = "NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION"
"""Nothing that was stored once is refused when it comes again, such as the id 0 or the date 0000-00-00."""


class Link:
    """`database` is the one that it began in."""

    def __init__(self, connection: pymysql.Connection[Any], database: str) -> None:
        self._connection = connection
        self.database = database

    def do(self, line: str | bytes) -> int:
        """How many rows it touched."""
        with told(), self._connection.cursor() as cursor:
            return int(cursor.execute(line))

    def rows(self, line: str) -> list[tuple[Any, ...]]:
        with told(), self._connection.cursor() as cursor:
            cursor.execute(line)
            return list(cursor.fetchall())

    def stream(self, line: str) -> Iterator[Row]:
        """Row by row, not held in memory."""
        with told(), contextlib.closing(self._connection.cursor(SSCursor)) as cursor:
            cursor.execute(line)
            yield from cursor

    @contextlib.contextmanager
    def bytes(self) -> Iterator[None]:
        """In the block text comes and goes as the bytes that are stored, whatever its character set is."""
        self.do("SET NAMES binary")
        try:
            yield
        finally:
            self.do("SET NAMES utf8mb4")

    @contextlib.contextmanager
    def unchecked(self) -> Iterator[None]:
        """For rows and tables that refer to each other, in whatever order they come."""
        self.do("SET foreign_key_checks = 0")
        yield
        self.do("SET foreign_key_checks = 1")


@contextlib.contextmanager
def connect(url: str) -> Iterator[Link]:
    """Raises Failed; the message has no password in it."""
    where = parse(url)
    try:
        connection = pymysql.connect(
            host=where.host or "localhost", port=where.port or 3306, user=where.user, password=where.password.encode(),
            database=where.name or None, unix_socket=where.option("socket") or None, charset="utf8mb4", conv={},
            autocommit=True, connect_timeout=10, sql_mode=PLAIN, init_command="SET time_zone = '+00:00'",
        )  # fmt: skip
    except pymysql.MySQLError as error:
        raise Failed(
            f"The database {where.name} cannot be reached: {said(error)}.",
            "See whether MariaDB runs, and whether it lets this role in.",
        ) from error
    try:
        yield Link(connection, where.name)
    finally:
        connection.close()


@contextlib.contextmanager
def told() -> Iterator[None]:
    """What the database says in the block becomes Failed."""
    try:
        yield
    except pymysql.MySQLError as error:
        raise Failed(f"MariaDB: {said(error)}.") from error


def said(error: pymysql.MySQLError) -> str:
    return str(error.args[-1] if error.args else error).strip().removesuffix(".")


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
