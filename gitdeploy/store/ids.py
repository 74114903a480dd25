"""Ids: a type prefix and a ULID (github.com/ulid/spec), so they sort by the time they were made.

Within one process they are strictly increasing, also inside one millisecond and when the clock steps back.
"""

from __future__ import annotations

import secrets
import threading
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_lock = threading.Lock()
_last = 0


def new(prefix: str) -> str:
    """`new("rel")` -> `rel_01J…` (26 characters after the prefix)."""
    global _last
    with _lock:
        fresh = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
        _last = fresh if fresh > _last else _last + 1
        value = _last
    return f"{prefix}_" + "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))
