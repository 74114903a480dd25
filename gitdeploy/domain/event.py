"""One line of the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Event:
    """`hash` seals every other field; `prev` is the hash of the event before, so a missing line shows."""

    id: str
    at: str
    site: str
    env: str
    actor: str
    action: str
    subject: str
    data: Mapping[str, Any] = field(default_factory=dict)
    prev: str = ""
    hash: str = ""


@dataclass(frozen=True)
class Chain:
    """What became of computing all hashes again: `number` lines hold and `head` is the hash of the last one; or
    `broken` is the id of the first that does not fit, `number` its number, and `why`.
    """

    number: int
    head: str
    broken: str | None = None
    why: str = ""
