"""What the doctor found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """`level` is ok, note, warning or problem."""

    name: str
    level: str
    said: str
    hint: str = ""
