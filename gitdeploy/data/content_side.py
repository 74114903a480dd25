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
    """The target, within a transaction that only `commit` ends well."""

    source: Reader

    sharing: str
    """What lets a SELECT see and hold what others have just committed."""

    def do(self, line: str) -> None: ...

    def temporary(self, name: str, definition: str) -> None:
        """A temporary table: `(k CHAR(32))` or `AS SELECT …`."""

    def fill(self, name: str, rows: Iterable[Sequence[str]]) -> None:
        """Put rows of text into a temporary table."""

    def texts(self, table: str) -> Container[str]:
        """The columns that hold text."""

    def lock(self, tables: Sequence[str]) -> None:
        """Nobody else writes these until the end; reading goes on."""

    def receive(self, table: str, into: str, columns: Sequence[str], passes: Mapping[str, Pass]) -> None:
        """The rows of the source's table, into a temporary one. Of what is no text only the mask `null` is asked."""

    def foreign_keys(self) -> list[ForeignKey]: ...

    def put(self, plans: Sequence[Plan], keys: Sequence[ForeignKey], /) -> None:
        """Do what the plans say, parents first. Raises Refused when a row would refer to one that there is not."""

    def commit(self, mark: str) -> None:
        """Write the mark, and make all of it true."""


@dataclass(frozen=True)
class Wish:
    """How rows are to move. `base` is a folder that tells what both sides held when they were the same, None when
    nobody knows: what only the target has changed since stays, what both have is a conflict.

    `remember` is a folder for such a base: of the source as it is read, but for masked columns; with `as_target` in the
    form that the rows have in the target. `ready` is told what comes of each table when nothing but the commit is left
    to do; what it raises takes all of it back.
    """

    mark: str
    base: Path | None = None
    overwrite: bool = False
    dry_run: bool = False
    rewriting: Rewriting = AS_IS
    remember: Path | None = None
    as_target: bool = False
    ready: Callable[[Mapping[str, RowChange]], None] = lambda _: None


@dataclass(frozen=True)
class Plan:
    """What becomes of one table: rows of `plan` with `s` come from `new`, those with `t` are there; both are temporary
    tables. `key` and `row` are expressions over the columns of either. A `whole` table has no key and is replaced.
    """

    table: Table
    columns: tuple[str, ...]
    kept: tuple[str, ...]
    key: str
    row: str
    number: int
    change: RowChange = field(default_factory=RowChange)

    @property
    def whole(self) -> bool:
        return not self.table.key

    @property
    def new(self) -> str:
        return f"gitdeploy_new_{self.number}"

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

    def where(self, which: str) -> str:
        """The rows that the plan tells by this condition."""
        return "1 = 1" if self.whole else f"{self.key} IN (SELECT k FROM {self.plan} WHERE {which})"
