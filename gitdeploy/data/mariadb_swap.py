"""Two MariaDB databases change places.

All tables move in one RENAME TABLE. MariaDB moves neither views nor anything else that has a definition, and no table
with a trigger. So the definitions are written into a table first, which moves along with the others: where it lies says
how far the swap came, and what it holds says what is left to do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from gitdeploy.data import mariadb_schema
from gitdeploy.data.mariadb_link import Link, quoted, text
from gitdeploy.data.mariadb_schema import SWAP, Other
from gitdeploy.errors import Failed


def is_there(link: Link, database: str) -> bool:
    return bool(link.rows(f"SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {text(database)}"))


def is_done(link: Link, live: str, new: str, old: str) -> bool:
    """Raises Failed when there is nothing to put in the place of `live`, and nothing was."""
    if is_there(link, new) or has_moved(link, old):
        return False
    if is_there(link, live) and is_there(link, old):
        return True
    raise Failed(f"There is no database {new} to put in the place of {live}.")


def has_moved(link: Link, old: str) -> bool:
    return SWAP in _tables(link, old)


def how_far(link: Link, new: str, old: str) -> str:
    """How far a swap came that is to be undone.

    waiting     nothing has moved; what was dropped for it is mended by `forget`
    forward     its tables have moved, and it has to be finished before it can be undone
    done        it was finished
    backward    undoing it has begun
    """
    if has_moved(link, old):
        return "forward" if _towards(link, old) == new else "backward"
    if has_moved(link, new):
        return "backward" if _towards(link, new) == old else "waiting"
    return "done" if is_there(link, old) else "waiting"


def forget(link: Link, live: str, new: str, old: str, role: str) -> None:
    """Mend what a swap did before its tables moved."""
    if not has_moved(link, new):
        return
    if _towards(link, new):  # triggers went once all was written
        for database in (live, new):
            _drop(link, database, "TRIGGER")
            _make(link, database, _triggers(link, new, database), role)
    if not _tables(link, old):
        link.do(f"DROP DATABASE IF EXISTS {quoted(old)}")
    link.do(f"DROP TABLE {quoted(new)}.{quoted(SWAP)}")


def write(link: Link, live: str, new: str, old: str) -> None:
    """Write down what has a definition, before anything else happens. Raises Failed."""
    if _tables(link, old):
        raise Failed(f"There is a database {old} with tables in it already.", "Remove it first.")
    _write(link, live, new)


def move(link: Link, live: str, new: str, old: str, role: str) -> None:
    """All tables at once; what has a definition is left to `finish`. Raises Failed; then triggers are back."""
    moves = [(live, old, table) for table in _tables(link, live)]
    moves += [(new, old if table == SWAP else live, table) for table in _tables(link, new)]
    pairs = ", ".join(f"{quoted(a)}.{quoted(table)} TO {quoted(b)}.{quoted(table)}" for a, b, table in moves)
    try:
        _drop(link, live, "TRIGGER")
        _drop(link, new, "TRIGGER")
        link.do(f"RENAME TABLE {pairs}")
    except BaseException:
        for database in (live, new):
            _make(link, database, _triggers(link, new, database), role)
        raise


def finish(link: Link, live: str, new: str, old: str, role: str) -> None:
    """Make views, triggers, routines and events where their tables are now, as often as it takes."""
    _drop(link, live, "VIEW", "TRIGGER", "EVENT", "FUNCTION", "PROCEDURE")
    _make(link, live, _written(link, old, new), role)
    _make(link, old, _written(link, old, live), role)
    link.do(f"DROP DATABASE IF EXISTS {quoted(new)}")
    link.do(f"DROP TABLE {quoted(old)}.{quoted(SWAP)}")


# Private


def _tables(link: Link, database: str) -> list[str]:
    return [
        str(name)
        for (name,) in link.rows(
            f"SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = {text(database)} "
            "AND TABLE_TYPE = 'BASE TABLE'"
        )
    ]


def _write(link: Link, live: str, new: str) -> None:
    """One that is there was written by a swap that ended before its tables moved, maybe after the triggers went: it
    is the one that knows all of them.
    """
    if SWAP in _tables(link, new):
        if link.rows(f"SELECT 1 FROM {quoted(new)}.{quoted(SWAP)} WHERE kind = 'WRITTEN'"):
            return
        link.do(f"DROP TABLE {quoted(new)}.{quoted(SWAP)}")
    rows = [(database, one) for database in (live, new) for one in _others(link, database)]
    rows.append((live, Other("WRITTEN", new, "", "")))
    place = f"{quoted(new)}.{quoted(SWAP)}"
    link.do(
        f"CREATE TABLE {place} (number INT PRIMARY KEY, place VARCHAR(64), kind VARCHAR(20), name VARCHAR(64), "
        "definition LONGTEXT, mode TEXT) CHARACTER SET utf8mb4"
    )
    for number, (database, one) in enumerate(rows):
        given = ", ".join(text(part) for part in (database, one.kind, one.name, one.text, one.mode))
        link.do(f"INSERT INTO {place} VALUES ({number}, {given})")


def _written(link: Link, holder: str, database: str) -> list[Other]:
    found = link.rows(
        f"SELECT kind, name, definition, mode FROM {quoted(holder)}.{quoted(SWAP)} "
        f"WHERE place = {text(database)} AND kind <> 'WRITTEN' ORDER BY number"
    )
    return [Other(*(str(part) for part in row)) for row in found]


def _triggers(link: Link, holder: str, database: str) -> list[Other]:
    return [one for one in _written(link, holder, database) if one.kind == "TRIGGER"]


def _towards(link: Link, holder: str) -> str:
    """Which database was to take the place of the live one; "" where the writing was not finished."""
    found = link.rows(f"SELECT name FROM {quoted(holder)}.{quoted(SWAP)} WHERE kind = 'WRITTEN'")
    return str(found[0][0]) if found else ""


def _others(link: Link, database: str) -> list[Other]:
    with _within(link, database):
        return list(mariadb_schema.others(link))


def _make(link: Link, database: str, wanted: list[Other], role: str) -> None:
    with _within(link, database):
        mariadb_schema.make(link, wanted, role)


def _drop(link: Link, database: str, *kinds: str) -> None:
    with _within(link, database):
        for one in mariadb_schema.others(link):
            if one.kind in kinds:
                link.do(f"DROP {one.kind} IF EXISTS {quoted(one.name)}")


@contextlib.contextmanager
def _within(link: Link, database: str) -> Iterator[None]:
    """Definitions are shown without the name of the database that one is in, and made in it."""
    link.do(f"USE {quoted(database)}")
    try:
        yield
    finally:
        if link.database:
            link.do(f"USE {quoted(link.database)}")
