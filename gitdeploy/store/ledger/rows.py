"""A table whose rows are one kind of frozen dataclass."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from gitdeploy.store.ledger import Ledger

Row = TypeVar("Row")


class Rows(Generic[Row]):
    """`key` names the columns that identify a row. Field names are trusted text; values are always bound."""

    def __init__(self, ledger: Ledger, table: str, kind: type[Row], *, key: tuple[str, ...]) -> None:
        self._ledger = ledger
        self._table = table
        self._kind = kind
        self._key = key
        self._fields = tuple(field.name for field in dataclasses.fields(kind))  # type: ignore[arg-type]
        self._booleans = {
            field.name
            for field in dataclasses.fields(kind)  # type: ignore[arg-type]
            if field.type in ("bool", bool)
        }
        self._columns = ", ".join(f'"{name}"' for name in self._fields)

    def add(self, row: Row) -> Row:
        marks = ", ".join("?" * len(self._fields))
        self._ledger.execute(
            f'INSERT INTO "{self._table}" ({self._columns}) VALUES ({marks})', self._values(row)
        )
        return row

    def get(self, *key: object) -> Row | None:
        where: dict[str, Any] = dict(zip(self._key, key, strict=True))
        return self.one(**where)

    def one(self, *, order: str = "rowid", **where: Any) -> Row | None:
        found = self.where(order=order, limit=1, **where)
        return found[0] if found else None

    def where(
        self,
        *,
        order: str = "rowid",
        limit: int = -1,
        sql: str = "",
        given: tuple[object, ...] = (),
        **where: Any,
    ) -> list[Row]:
        """Rows whose columns equal `where` (a tuple means any of), and that satisfy the extra text `sql`, whose
        question marks stand for the values `given`.
        """
        tests = [f"({sql})"] if sql else []
        values = [*given]
        for name, value in where.items():
            if isinstance(value, tuple):
                tests.append(f'"{name}" IN ({", ".join("?" * len(value))})')
                values.extend(value)
            else:
                tests.append(f'"{name}" IS ?')
                values.append(value)
        clause = f"WHERE {' AND '.join(tests)}" if tests else ""
        text = f'SELECT {self._columns} FROM "{self._table}" {clause} ORDER BY {order} LIMIT ?'
        return [self._row(found) for found in self._ledger.query(text, (*values, limit))]

    def change(self, row: Row, **changes: Any) -> Row:
        """Write `changes` to `row`'s line and return the row as it is now."""
        sets = ", ".join(f'"{name}" = ?' for name in changes)
        where = " AND ".join(f'"{name}" IS ?' for name in self._key)
        values = (*changes.values(), *(getattr(row, name) for name in self._key))
        self._ledger.execute(f'UPDATE "{self._table}" SET {sets} WHERE {where}', values)
        return dataclasses.replace(row, **changes)  # type: ignore[type-var]

    def remove(self, row: Row) -> None:
        where = " AND ".join(f'"{name}" IS ?' for name in self._key)
        self._ledger.execute(
            f'DELETE FROM "{self._table}" WHERE {where}', tuple(getattr(row, name) for name in self._key)
        )

    def _values(self, row: Row) -> tuple[object, ...]:
        return tuple(getattr(row, name) for name in self._fields)

    def _row(self, found: dict[str, object]) -> Row:
        for name in self._booleans:
            found[name] = bool(found[name])
        return self._kind(**found)
