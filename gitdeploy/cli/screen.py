"""How answers look in a terminal: facts on stdout (one JSON document with --json), prose on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import click


def facts(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def prose(text: str) -> None:
    """Something said while it happens; printed as it comes."""
    click.echo(text, nl=False, err=True)
    sys.stderr.flush()


def stream(chunks: Iterable[bytes]) -> None:
    """A text as it comes."""
    for chunk in chunks:
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()


def table(rows: Iterable[Sequence[object]], *, head: Sequence[str], empty: str) -> None:
    """Columns as wide as their widest cell; the last one takes what is left."""
    lines = [[clean(cell) for cell in row] for row in rows]
    if not lines:
        click.echo(empty, err=True)
        return
    widths = [max(len(line[column]) for line in [list(head), *lines]) for column in range(len(head))]
    for number, line in enumerate([list(head), *lines]):
        cells = [cell.ljust(width) for cell, width in zip(line[:-1], widths, strict=False)]
        text = "  ".join([*cells, line[-1]]).rstrip()
        click.echo(click.style(text, bold=True) if number == 0 else text)


def when(text: str | None) -> str:
    """A stored UTC time in the reader's own zone, to the second."""
    if not text:
        return "-"
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def clean(cell: object) -> str:
    """Commit subjects and the like come from strangers: no control character reaches the terminal."""
    text = "-" if cell in (None, "") else str(cell)
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
