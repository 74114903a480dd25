"""What every kind of database can do. One suite of tests holds all of them to it.

A database is known by its URL, which is also what programs are given. Nothing here knows environments or sites.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from gitdeploy.data.content_side import Mover, Wish
from gitdeploy.domain.schema import Schema
from gitdeploy.domain.snapshot import Facts

MARKS = "gitdeploy_moves"
"""The one table of ours in a database: which moves of content it has taken, and which it never will. It is in no
schema, dump or count.
"""


class Instant(Protocol):
    """A database as it was when this began; whoever writes meanwhile is not seen, and not held up."""

    def facts(self) -> Facts:
        """Its shape, and of every table how many rows and their sum."""

    def dump(self, folder: Path) -> None:
        """Write all of it into files of an empty folder, so that what did not change gives equal pieces."""


class Engine(Protocol):
    """Methods raise Failed with what the database said."""

    name: str

    def instant(self, url: str) -> AbstractContextManager[Instant]: ...

    def schema(self, url: str) -> Schema:
        """The shape alone, as it is now."""

    def load(self, url: str, folder: Path) -> None:
        """Fill an empty database from what `Instant.dump` wrote."""

    def shape(self, source: str, target: str) -> None:
        """Make the tables of `source` in an empty database, without their rows."""

    def compared(
        self, source: str, target: str, tables: Sequence[str], wish: Wish
    ) -> AbstractContextManager[Mover]:
        """Look at the rows of these tables in both databases, while others go on writing. What is given then brings
        them from one into the other, all or nothing: what it would touch is compared again, the rest is not read.

        Both raise Refused for conflicts, unless they are to be overwritten or this is a dry run, for tables that are
        not the same on both sides, and for rows that would refer to what is not there.
        """

    def settle(self, url: str, mark: str) -> bool:
        """Whether the move with this mark was committed into this database. One that was not never will be, also when
        it is still on its way from somebody who has died. Raises Failed while that cannot be said.
        """


class Server(Engine, Protocol):
    """An engine whose databases live in a server. `admin` is the URL of a role that may make databases."""

    def create(self, admin: str, name: str, password: str) -> str:
        """A new empty database with a role of its own, both called `name`; its URL. One that is there stays as it is,
        and its role gets this password.
        """

    def remove(self, admin: str, url: str, suffix: str = "") -> None:
        """Remove a database; without a suffix its role too, and all that stand beside it. What is gone is fine."""

    def beside(self, admin: str, url: str, suffix: str) -> str:
        """A new empty database of the same role, called as that of `url` with `suffix` behind it. One that is there
        is emptied.
        """

    def swap(self, admin: str, url: str, new: str, old: str) -> None:
        """Give the database called with the suffix `new` the name of that of `url`, which gets the suffix `old`.

        Nobody is let in meanwhile. When it was killed on the way, calling it again finishes it. Raises Failed when
        there is no such database; then nothing has changed.
        """

    def put_back(self, admin: str, url: str, new: str, old: str) -> None:
        """Undo `swap`, however far it came, and let people in again; safe to repeat, also when it was killed itself."""

    def exists(self, admin: str, url: str, suffix: str = "") -> bool: ...
