"""A connection to PostgreSQL, and what it says as our own errors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from gitdeploy.data import postgres_schema
from gitdeploy.data.url import parse
from gitdeploy.errors import Failed

Connection = psycopg.Connection[Any]


def connect(url: str) -> Connection:
    """Raises Failed; the message has no password in it."""
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=10)
    except psycopg.Error as error:
        where = parse(url)
        raise Failed(
            f"The database {where.name} cannot be reached: {_said(error)}.",
            "See whether PostgreSQL runs, and whether it lets this role in.",
        ) from error


@contextlib.contextmanager
def told() -> Iterator[None]:
    """What the database says in the block becomes Failed."""
    try:
        yield
    except psycopg.Error as error:
        raise Failed(f"PostgreSQL: {_said(error)}.") from error


def identifier(table: str) -> sql.Identifier:
    """`posts`, or `shop.posts` for one that is not in the schema public."""
    return sql.Identifier(*postgres_schema.parts(table))


# Private


def _said(error: psycopg.Error) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__).removesuffix(".")
