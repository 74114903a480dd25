"""How people write a length of time and an amount of bytes, and how both are printed back.

Durations are whole seconds: `30s 5m 2h 7d`. Sizes are bytes in powers of 1024; `512M` is `512MB`.
"""

from __future__ import annotations

import re

from gitdeploy.errors import Invalid

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_DURATION = re.compile(r"([0-9]{1,9})([smhd])")
_SIZE = re.compile(r"([0-9]{1,12})([KMGT]?)B?", re.IGNORECASE)


def parse_duration(text: str) -> int:
    """`"5m"` -> 300 seconds. Raises Invalid."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise Invalid(f'{text!r} is not a duration such as "30s".', "Write 30s, 5m, 2h or 7d.")
    return int(match[1]) * _SECONDS[match[2]]


def parse_size(text: str) -> int:
    """`"512MB"` -> 536870912 bytes. Raises Invalid."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise Invalid(f'{text!r} is not a size such as "512MB".', "Write 900KB, 512MB or 2GB.")
    return int(match[1]) * _BYTES[match[2].upper()]


def print_duration(seconds: int) -> str:
    """The largest unit that says it exactly: 300 -> `5m`, 90 -> `90s`, 0 -> `0s`."""
    for unit, length in reversed(_SECONDS.items()):
        if seconds and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def print_size(size: int) -> str:
    """The largest unit that says it exactly: 536870912 -> `512MB`, 1000 -> `1000B`."""
    for unit, length in reversed(_BYTES.items()):
        if size and size % length == 0:
            return f"{size // length}{unit}B"
    return f"{size}B"


def roughly(seconds: float) -> str:
    """For a person in a hurry: `40 s`, `12 min`, `3 h`, `5 days`."""
    for unit, length, from_ in (("days", 86400, 2 * 86400), ("h", 3600, 2 * 3600), ("min", 60, 2 * 60)):
        if seconds >= from_:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
