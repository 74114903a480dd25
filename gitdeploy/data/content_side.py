"""What a move asks of an engine, and the plan that is made of one table."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from gitdeploy.domain.content import AS_IS, ForeignKey, Rewriting, RowChange
from gitdeploy.domain.schema import Schema, Table


@dataclass(frozen=True)
class Pass:
    """What becomes of a text on its way; `mask` is the kind of mask, if it is one."""

    act: Callable[[str], str | None]
    mask: str = ""


class Reader(Protocol):
    """A database as it is at one instant. Expressions are SQL over the columns of one table."""

    def schema(self) -> Schema: ...

    def columns(self, table: str) -> list[str]:
        """Those whose values are stored, not computed."""

    def stream(self, line: str) -> Iterator[Sequence[Any]]: ...

    def quoted(self, table: str) -> str: ...

    def name(self, column: str) -> str: ...

    def digest(self, table: str, columns: Sequence[str], /) -> str:
        """An expression: 32 hex digits of these columns of a row."""

    def numbered(self, digest: str) -> str:
        """An expression: this digest, and the number of the row among those with the same one."""


class Side(Reader, Protocol):
    """The target: first both are looked at, which holds nobody up; then it is written to, in a transaction that only
    `commit` ends well.
    """

    source: Reader

    equals: str
    """What two values of a key are compared with."""
    beside: str
    """What joins two tables so that the first one is read first."""
    sharing: str
    """What lets a SELECT see and hold what others have just committed."""

    def do(self, line: str) -> None: ...

    def temporary(self, name: str, definition: str) -> None:
        """A temporary table: `(k CHAR(32))` or `AS SELECT …`. It stays until the connection ends."""

    def keyed(self, name: str, select: str) -> None:
        """A temporary table of what this SELECT finds, with an index on `gitdeploy_k`, the digest that is its first
        column.
        """

    def fill(self, name: str, rows: Iterable[Sequence[str]]) -> None:
        """Put rows of text into a temporary table."""

    def texts(self, table: str) -> Container[str]:
        """The columns that hold text."""

    def seen(self, table: str) -> str:
        """The target's table, as it is read while both are looked at."""

    def looked(self) -> None:
        """The look is over. What it found is in temporary tables; the source is not needed any more."""

    def begin(self, plans: Sequence[Plan], /) -> None:
        """Begin the transaction. Until its end nobody else writes the rows that are in these plans, nor any row of
        those that are whole; reading goes on.
        """

    def receive(self, table: str, into: str, columns: Sequence[str], passes: Mapping[str, Pass]) -> None:
        """The rows of the source's table, into a temporary one. Of what is no text only the mask `null` is asked."""

    def foreign_keys(self) -> list[ForeignKey]: ...

    def remove(self, plan: Plan, which: str, /) -> None:
        """Remove rows of the target that the plan tells by this condition."""

    def put(self, plans: Sequence[Plan], keys: Sequence[ForeignKey], /) -> None:
        """Do what the plans say, parents first. Raises Refused when a row would refer to one that there is not."""

    def commit(self, mark: str) -> None:
        """Write the mark, and make all of it true."""


@dataclass(frozen=True)
class Wish:
    """How rows are to move. `base` is a folder that tells what both sides held when they were the same, None when
    nobody knows: what only the target has changed since stays, what both have is a conflict.

    `remember` is a folder for such a base: of the source as it is read, but for masked columns; with `as_target` in the
    form that the rows have in the target.
    """

    mark: str
    base: Path | None = None
    overwrite: bool = False
    dry_run: bool = False
    rewriting: Rewriting = AS_IS
    remember: Path | None = None
    as_target: bool = False


Ready = Callable[[Mapping[str, RowChange]], None]
"""Is told what comes of each table when nothing but the commit is left to do; what it raises takes all of it back."""
Mover = Callable[[Ready], Mapping[str, RowChange]]
"""Makes a move that was looked at, or tries it; what came of each table."""


@dataclass(frozen=True)
class Plan:
    """What becomes of one table: rows of `plan` with `s` come, out of `coming`, those with `t` are there. `key`, `row`
    and `part` are expressions over its columns: digests of the key, of all that counts, and of what the base knows,
    which is empty without one. A `whole` table has no key and is replaced.
    """

    table: Table
    columns: tuple[str, ...]
    kept: tuple[str, ...]
    key: str
    row: str
    number: int
    part: str = ""
    change: RowChange = field(default_factory=RowChange)

    @property
    def whole(self) -> bool:
        return not self.table.key

    @property
    def new(self) -> str:
        """All rows of the source, as they would be in the target."""
        return f"gitdeploy_new_{self.number}"

    @property
    def coming(self) -> str:
        """Those of them that come."""
        return self.new if self.whole else f"gitdeploy_coming_{self.number}"

    @property
    def keys(self) -> str:
        """The values of the key by its digest, `gitdeploy_k`: `gitdeploy_1` and so on."""
        return f"gitdeploy_keys_{self.number}"

    @property
    def now(self) -> str:
        """The rows of the plan as they are in the target once nobody else writes them."""
        return f"gitdeploy_now_{self.number}"

    @property
    def plan(self) -> str:
        return f"gitdeploy_plan_{self.number}"

    @property
    def base(self) -> str:
        return f"gitdeploy_base_{self.number}"

    @property
    def gone(self) -> str:
        """Rows of the target as they were before they were changed or removed."""
        return f"gitdeploy_gone_{self.number}"

    def where(self, which: str, key: str = "gitdeploy_k") -> str:
        """The rows that the plan tells by this condition, of a table that has this digest of the key."""
        return f"{key} IN (SELECT k FROM {self.plan} WHERE {which})"

    def match(self, side: Side) -> str:
        """Whether a row of the target has one of the `keys`."""
        table, names = side.quoted(self.table.name), enumerate(self.table.key, 1)
        return " AND ".join(
            f"{table}.{side.name(one)} {side.equals} {self.keys}.gitdeploy_{number}" for number, one in names
        )

    def found(self, side: Side) -> str:
        """Those rows, each beside its key, by which it is found."""
        return f"{self.keys} {side.beside} {side.quoted(self.table.name)} WHERE {self.match(side)}"
