"""How what a move comes to is told, as JSON."""

from __future__ import annotations

from typing_extensions import TypedDict


class Sums(TypedDict):
    added: int
    changed: int
    removed: int


class MovedRows(Sums):
    """`conflicts` are rows that both sides have changed, `kept` those that only the target has."""

    conflicts: list[str]
    kept: int
    kept_rows: list[str]


class Paths(TypedDict):
    """The first of each."""

    added: list[str]
    changed: list[str]
    removed: list[str]
    conflicts: list[str]
    kept: list[str]


class MovedFiles(Sums):
    conflicts: int
    kept: int
    paths: Paths


class Group(TypedDict):
    name: str
    tables: dict[str, MovedRows]
    files: MovedFiles


class Outcome(TypedDict, total=False):
    """What a move comes to: `withheld` may not move, `links` never do. A move that has not come so far has none."""

    groups: list[Group]
    rows: Sums
    files: Sums
    withheld: list[str]
    links: list[str]
    conflicts: list[str]
    kept: list[str]
