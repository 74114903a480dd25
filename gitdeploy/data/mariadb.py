"""MariaDB 10.6 and newer, by PyMySQL alone.

A second connection could see the same instant only under a lock of the whole server, which is not for a site's role to
take. So one connection reads the shape, the sums and the rows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from gitdeploy.data import content, mariadb_content, mariadb_schema, mariadb_swap
from gitdeploy.data.content_side import Mover, Wish
from gitdeploy.data.mariadb_dump import dump, load, make_shape, shape
from gitdeploy.data.mariadb_link import Link, connect, quoted, text
from gitdeploy.data.url import parse
from gitdeploy.domain.schema import Schema
from gitdeploy.domain.snapshot import Count, Facts
from gitdeploy.errors import Failed

LONGEST_NAME = 64


class MariaDb:
    name = "mariadb"

    @contextlib.contextmanager
    def instant(self, url: str) -> Iterator[MariaDbInstant]:
        with connect(url) as link:
            mariadb_schema.begin_reading(link)
            yield MariaDbInstant(link)

    def schema(self, url: str) -> Schema:
        with connect(url) as link:
            return mariadb_schema.read(link)

    def load(self, url: str, folder: Path) -> None:
        with connect(url) as link:
            load(link, folder)

    def shape(self, source: str, target: str) -> None:
        with connect(source) as there, connect(target) as here:
            make_shape(here, shape(there))

    @contextlib.contextmanager
    def compared(self, source: str, target: str, tables: Sequence[str], wish: Wish) -> Iterator[Mover]:
        with (
            mariadb_content.opened(source, target, wish.dry_run) as side,
            content.compared(side, tables, wish) as move,
        ):
            yield move

    def settle(self, url: str, mark: str) -> bool:
        return mariadb_content.settle(url, mark)

    def create(self, admin: str, name: str, password: str) -> str:
        with connect(admin) as link:
            _make(link, name)
            link.do(f"CREATE USER IF NOT EXISTS {_role(name)} IDENTIFIED BY {text(password)}")
            link.do(f"ALTER USER {_role(name)} IDENTIFIED BY {text(password)}")
            _give(link, name, name)
        return str(replace(parse(admin), scheme="mysql", name=name, user=name, password=password))

    def remove(self, admin: str, url: str, suffix: str = "") -> None:
        with connect(admin) as link:
            link.do(f"DROP DATABASE IF EXISTS {quoted(parse(url).name + suffix)}")
            if not suffix:
                for beside in _beside(link, parse(url).name):
                    link.do(f"DROP DATABASE IF EXISTS {quoted(beside)}")
                link.do(f"DROP USER IF EXISTS {_role(parse(url).user)}")

    def beside(self, admin: str, url: str, suffix: str) -> str:
        made = parse(url).of(parse(url).name + suffix)
        with connect(admin) as link:
            link.do(f"DROP DATABASE IF EXISTS {quoted(made.name)}")
            _make(link, made.name)
            _give(link, made.name, made.user)
        return str(made)

    def swap(self, admin: str, url: str, new: str, old: str) -> None:
        """MariaDB renames no database, but any number of tables by one statement. What is no table is made again."""
        name, role = parse(url).name, parse(url).user
        with connect(admin) as link:
            if mariadb_swap.is_done(link, name, name + new, name + old):
                link.do(f"ALTER USER {_role(role)} ACCOUNT UNLOCK")
                return
            link.do(f"ALTER USER {_role(role)} ACCOUNT LOCK")
            try:
                link.do(f"KILL HARD USER {_role(role)}")
                if not mariadb_swap.has_moved(link, name + old):
                    mariadb_swap.write(link, name, name + new, name + old)
                    _make(link, name + old)
                    _give(link, name + old, role)
                    mariadb_swap.move(link, name, name + new, name + old, _role(role))
                mariadb_swap.finish(link, name, name + new, name + old, _role(role))
            finally:
                link.do(f"ALTER USER {_role(role)} ACCOUNT UNLOCK")

    def put_back(self, admin: str, url: str, new: str, old: str) -> None:
        name, role = parse(url).name, parse(url).user
        with connect(admin) as link:
            found = mariadb_swap.how_far(link, name + new, name + old)
            if found == "forward":
                self.swap(admin, url, new, old)
            if found in ("forward", "done", "backward"):
                self.swap(admin, url, old, new)
                return
            link.do(f"ALTER USER {_role(role)} ACCOUNT LOCK")
            try:
                mariadb_swap.forget(link, name, name + new, name + old, _role(role))
            finally:
                link.do(f"ALTER USER {_role(role)} ACCOUNT UNLOCK")

    def exists(self, admin: str, url: str, suffix: str = "") -> bool:
        with connect(admin) as link:
            return mariadb_swap.is_there(link, parse(url).name + suffix)


class MariaDbInstant:
    def __init__(self, link: Link) -> None:
        self._link = link

    def facts(self) -> Facts:
        schema = mariadb_schema.read(self._link)
        return Facts(schema, {name: count(self._link, name) for name in schema.tables})

    def dump(self, folder: Path) -> None:
        dump(self._link, folder)


def count(link: Link, table: str) -> Count:
    line = mariadb_schema.hash_of(mariadb_schema.values(link, table))
    found = link.rows(
        f"SELECT count(*), coalesce(sum(CAST(CONV(LEFT({line}, 16), 16, 10) AS UNSIGNED)), 0) FROM {quoted(table)}"
    )[0]
    return Count(int(found[0]), str(found[1]))


# Private


def _beside(link: Link, name: str) -> list[str]:
    found = link.rows(
        f"SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE LOCATE({text(name + '__')}, SCHEMA_NAME) = 1"
    )
    return [str(one) for (one,) in found]


def _role(name: str) -> str:
    return f"{text(name)}@'%'"


def _make(link: Link, name: str) -> None:
    if len(name) > LONGEST_NAME:
        raise Failed(
            f"{name} is longer than the {LONGEST_NAME} characters that a name may have in MariaDB.",
            "Give the site or the environment a shorter name.",
        )
    link.do(f"CREATE DATABASE IF NOT EXISTS {quoted(name)} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")


def _give(link: Link, name: str, role: str) -> None:
    """In a grant `_` and `%` stand for any character, unless they are escaped."""
    exact = name.replace("_", "\\_").replace("%", "\\%")
    link.do(f"GRANT ALL ON {quoted(exact)}.* TO {_role(role)}")
