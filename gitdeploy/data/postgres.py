"""PostgreSQL 15 and newer, by psycopg and the server's own pg_dump and pg_restore (Debian: postgresql-client)."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, LiteralString

from psycopg import sql

from gitdeploy import process
from gitdeploy.data import content, postgres_content, postgres_schema
from gitdeploy.data.content_side import Mover, Wish
from gitdeploy.data.engine import MARKS
from gitdeploy.data.postgres_link import Connection, connect, identifier, told
from gitdeploy.data.url import Url, parse
from gitdeploy.domain.schema import Schema
from gitdeploy.domain.snapshot import Count, Facts
from gitdeploy.errors import Failed
from gitdeploy.process import Command

_LONGEST = 6 * 3600.0  # seconds that a dump or a load may take
_LONGEST_END = 5.0  # seconds that a session may take to end


class Postgres:
    name = "postgres"

    @contextlib.contextmanager
    def instant(self, url: str) -> Iterator[PostgresInstant]:
        with connect(url) as connection:
            _do(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            found = _one(connection, "SELECT pg_export_snapshot()")
            yield PostgresInstant(url, connection, str(found))

    def schema(self, url: str) -> Schema:
        with connect(url) as connection:
            return postgres_schema.read(connection)

    def load(self, url: str, folder: Path) -> None:
        jobs = str(min(4, os.cpu_count() or 1))
        command = ("pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", "--jobs", jobs)
        _tool(url, (*command, "--dbname", parse(url).name, str(folder)))

    def shape(self, source: str, target: str) -> None:
        with tempfile.NamedTemporaryFile() as file:
            dump = ("pg_dump", "--format=custom", "--schema-only", "--no-owner", "--no-privileges")
            _tool(source, (*dump, "--exclude-table", MARKS, "--file", file.name, parse(source).name))
            restore = ("pg_restore", "--no-owner", "--no-privileges", "--exit-on-error")
            _tool(target, (*restore, "--dbname", parse(target).name, file.name))

    @contextlib.contextmanager
    def compared(self, source: str, target: str, tables: Sequence[str], wish: Wish) -> Iterator[Mover]:
        with (
            postgres_content.opened(source, target, wish.dry_run) as side,
            content.compared(side, tables, wish) as move,
        ):
            yield move

    def settle(self, url: str, mark: str) -> bool:
        return postgres_content.settle(url, mark)

    def create(self, admin: str, name: str, password: str) -> str:
        with told(), connect(admin) as connection:
            role, known = sql.Identifier(name), _knows(connection, "pg_roles", "rolname", name)
            verb = sql.SQL("ALTER ROLE" if known else "CREATE ROLE")
            connection.execute(sql.SQL("{} {} LOGIN PASSWORD {}").format(verb, role, sql.Literal(password)))
            self._make(connection, name, name)
        made = replace(parse(admin), scheme="postgresql", name=name, user=name, password=password)
        return str(made)

    def remove(self, admin: str, url: str, suffix: str = "") -> None:
        name = parse(url).name
        with told(), connect(admin) as connection:
            _drop(connection, name + suffix)
            if not suffix:
                for beside in _beside(connection, name):
                    _drop(connection, beside)
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(parse(url).user)))

    def beside(self, admin: str, url: str, suffix: str) -> str:
        made = parse(url).of(parse(url).name + suffix)
        with told(), connect(admin) as connection:
            _drop(connection, made.name)
            self._make(connection, made.name, made.user)
        return str(made)

    def swap(self, admin: str, url: str, new: str, old: str) -> None:
        name = parse(url).name
        with told(), connect(admin) as connection:
            there = {one for one in (name, name + new, name + old) if _is_there(connection, one)}
            if name + new not in there:
                if {name, name + old} <= there:
                    _let_in(connection, name)
                    return  # done already
                raise Failed(f"There is no database {name + new} to put in the place of {name}.")
            if name in there:
                _move_away(connection, name, name + old)
            _rename(connection, name + new, name)
            _let_in(connection, name)

    def put_back(self, admin: str, url: str, new: str, old: str) -> None:
        if self.exists(admin, url, old):
            self.swap(admin, url, old, new)
        with told(), connect(admin) as connection:  # who was killed may have left either of them closed
            for one in (parse(url).name, parse(url).name + new):
                if _is_there(connection, one):
                    _let_in(connection, one)

    def exists(self, admin: str, url: str, suffix: str = "") -> bool:
        with told(), connect(admin) as connection:
            return _is_there(connection, parse(url).name + suffix)

    def _make(self, connection: Connection, name: str, owner: str) -> None:
        if _is_there(connection, name):
            return
        given = {"name": sql.Identifier(name), "owner": sql.Identifier(owner)}
        # template0 is as the server was made: what somebody put into template1 would not be in the dump.
        for line in (
            "CREATE DATABASE {name} OWNER {owner} TEMPLATE template0",
            "REVOKE ALL ON DATABASE {name} FROM PUBLIC",
        ):
            connection.execute(sql.SQL(line).format(**given))


class PostgresInstant:
    def __init__(self, url: str, connection: Connection, exported: str) -> None:
        self._url = url
        self._connection = connection
        self._exported = exported

    def facts(self) -> Facts:
        schema = postgres_schema.read(self._connection)
        return Facts(schema, {name: count(self._connection, name) for name in schema.tables})

    def dump(self, folder: Path) -> None:
        """In the directory format, each table a file of its own in the server's text form, not compressed: so rows that
        did not change are the same bytes.
        """
        jobs = str(min(2, os.cpu_count() or 1))
        command = (
            "pg_dump", "--format=directory", "--compress=0", "--no-owner", "--no-privileges", "--jobs", jobs,
            "--snapshot", self._exported, "--exclude-table", MARKS,
        )  # fmt: skip
        _tool(self._url, (*command, "--file", str(folder), parse(self._url).name))


def count(connection: Connection, table: str) -> Count:
    line = sql.SQL("SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM {} t")
    with told():
        found = connection.execute(line.format(identifier(table))).fetchone()
    assert found is not None
    return Count(found[0], str(found[1]))


# Private


def _do(connection: Connection, line: LiteralString) -> None:
    with told():
        connection.execute(line)


def _one(connection: Connection, line: LiteralString, *given: object) -> Any:
    with told():
        found = connection.execute(line, given).fetchone()
    return found[0] if found else None


def _is_there(connection: Connection, database: str) -> bool:
    return _knows(connection, "pg_database", "datname", database)


def _knows(connection: Connection, catalog: str, column: str, name: str) -> bool:
    line = sql.SQL("SELECT 1 FROM {} WHERE {} = %s").format(sql.Identifier(catalog), sql.Identifier(column))
    with told():
        return connection.execute(line, (name,)).fetchone() is not None


def _beside(connection: Connection, name: str) -> list[str]:
    with told():
        found = connection.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", (f"{name}__",)
        )
        return [str(one) for (one,) in found.fetchall()]


def _move_away(connection: Connection, name: str, aside: str) -> None:
    """Refusing connections comes first: a client that comes back at once would hold up the rename for seconds."""
    try:
        with told():
            connection.execute(
                sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name))
            )
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
            )
            _await_end(connection, name)
        _rename(connection, name, aside)
    except BaseException:
        _let_in(connection, name)
        raise
    _let_in(connection, aside)


def _await_end(connection: Connection, name: str) -> None:
    """A rename that finds a session looks again only after a tenth of a second; clients wait for less than that."""
    until = time.monotonic() + _LONGEST_END
    while _knows(connection, "pg_stat_activity", "datname", name) and time.monotonic() < until:
        time.sleep(0.002)


def _let_in(connection: Connection, name: str) -> None:
    with told():
        connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(name)))


def _rename(connection: Connection, name: str, new: str) -> None:
    with told():
        connection.execute(
            sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(new))
        )


def _drop(connection: Connection, name: str) -> None:
    with told():
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _tool(url: str, argv: tuple[str, ...]) -> None:
    """The password goes by the environment: an argument could be read by every user of the machine."""
    process.check(Command(argv, env=_environment(parse(url))), timeout=_LONGEST)


def _environment(url: Url) -> dict[str, str]:
    given = {
        "PGHOST": url.option("host") or url.host, "PGPORT": str(url.port or url.option("port") or ""),
        "PGUSER": url.user, "PGPASSWORD": url.password, "PGSSLMODE": url.option("sslmode"),
    }  # fmt: skip
    return {name: value for name, value in given.items() if value}
