"""Databases to try every engine on. A `Place` makes them and speaks their SQL; the tests know no engine by name."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest

from gitdeploy.data.engine import Engine
from gitdeploy.data.mariadb import MariaDb
from gitdeploy.data.postgres import Postgres
from gitdeploy.data.sqlite import Sqlite
from gitdeploy.data.url import parse


class Place:
    """One engine, with a way to make databases and to run SQL in them."""

    def __init__(self, engine: Engine, admin: str, folder: Path) -> None:
        self.engine = engine
        self.admin = admin
        self.folder = folder

    def new(self) -> str:
        name = f"t_{secrets.token_hex(6)}"
        if self.engine.name == "sqlite":
            return f"sqlite:///{self.folder}/{name}.db"
        return self.engine.create(self.admin, name, "p/w d:@é'")

    def sql(self, url: str, *lines: str) -> list[Any]:
        """The rows of the last line."""
        with self.connected(url) as execute:
            for line in lines:
                rows = execute(line)
        return rows

    @contextlib.contextmanager
    def connected(self, url: str) -> Iterator[Callable[[str], list[Any]]]:
        if self.engine.name == "sqlite":
            with contextlib.closing(
                sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
            ) as one:
                one.execute("PRAGMA foreign_keys=ON")
                yield lambda line: one.execute(line).fetchall()
        elif self.engine.name == "mariadb":
            where = parse(url)
            with contextlib.closing(
                pymysql.connect(host=where.host, port=where.port, user=where.user, password=where.password.encode(),
                                database=where.name or None, autocommit=True, charset="utf8mb4")
            ) as one, one.cursor() as cursor:  # fmt: skip
                yield lambda line: [cursor.execute(line), list(cursor.fetchall())][1]
        else:
            with psycopg.connect(url, autocommit=True) as one:
                yield lambda line: list(cursor) if (cursor := one.execute(line)).description else []


ENGINES = {"sqlite": Sqlite, "postgres": Postgres, "mariadb": MariaDb}


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    admin = "" if request.param == "sqlite" else request.getfixturevalue(request.param)
    return Place(ENGINES[request.param](), admin, tmp_path)


@pytest.fixture(params=["postgres", "mariadb"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An engine whose databases live in a server."""
    return Place(ENGINES[request.param](), request.getfixturevalue(request.param), tmp_path)
