"""Rows of MariaDB as text: a line for each, written as SQL writes a row, so that lines can be put into an INSERT as
they are. Text and binary values are the very bytes that are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from gitdeploy.data.content_side import Pass
from gitdeploy.data.mariadb_link import Link, quoted
from gitdeploy.data.mariadb_schema import NUMBERS, Value

_BATCH = 1 << 20  # bytes of one INSERT; the server takes 16 MiB unless told otherwise
_WRITTEN_ONLY = frozenset(("uuid", "inet4", "inet6"))


def read(
    link: Link,
    table: str,
    columns: Sequence[Value],
    order: Sequence[str],
    passes: Mapping[str, Pass] = MappingProxyType({}),
) -> Iterator[bytes]:
    """Lines without their ends, in the order of these columns. To be used within `link.bytes()`."""
    shown = ", ".join(_shown(one, passes.get(one.name)) for one in columns)
    by = f" ORDER BY {', '.join(map(quoted, order))}" if order else ""
    writers = [_writer(one, passes.get(one.name)) for one in columns]
    for row in link.stream(f"SELECT {shown} FROM {quoted(table)}{by}"):
        yield b"(" + b",".join([write(value) for write, value in zip(writers, row, strict=True)]) + b")"


def write(link: Link, table: str, columns: Iterable[str], lines: Iterable[bytes]) -> None:
    """To be used within `link.bytes()`."""
    head = f"INSERT INTO {quoted(table)} ({', '.join(map(quoted, columns))}) VALUES ".encode()
    batch: list[bytes] = []
    size = 0
    for line in lines:
        if batch and size + len(line) > _BATCH:
            link.do(head + b",".join(batch))
            batch, size = [], 0
        batch.append(line)
        size += len(line) + 1
    if batch:
        link.do(head + b",".join(batch))


# Private


def _shown(column: Value, passed: Pass | None) -> str:
    if passed and passed.mask == "null":
        return "NULL"
    return f"CONVERT({quoted(column.name)} USING utf8mb4)" if passed else column.exact


def _writer(column: Value, passed: Pass | None) -> Callable[[str | bytes | None], bytes]:
    if column.kind in NUMBERS:
        return _number
    if passed:
        return _passing(passed)
    return _introduced(b"_latin1") if column.kind in _WRITTEN_ONLY else _introduced(b"")


def _number(value: str | bytes | None) -> bytes:
    return b"NULL" if value is None else _encoded(value)


def _introduced(introducer: bytes) -> Callable[[str | bytes | None], bytes]:
    def literal(value: str | bytes | None) -> bytes:
        return b"NULL" if value is None else introducer + _quoted(_encoded(value))

    return literal


def _passing(passed: Pass) -> Callable[[str | bytes | None], bytes]:
    """The text was read in UTF-8; the introducer makes the server store it in the column's own character set."""

    def literal(value: str | bytes | None) -> bytes:
        if value is None:
            return b"NULL"
        after = passed.act(_encoded(value).decode("utf-8", "surrogateescape"))
        return b"NULL" if after is None else b"_utf8mb4" + _quoted(after.encode("utf-8", "surrogateescape"))

    return literal


def _encoded(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def _quoted(value: bytes) -> bytes:
    """A line holds no line end."""
    return (
        b"'"
        + value.replace(b"\\", b"\\\\").replace(b"'", b"\\'").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
        .replace(b"\0", b"\\0")
        + b"'"
    )  # fmt: skip
