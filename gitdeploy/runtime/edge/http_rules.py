"""The parts of RFC 9110 that decide how a file is sent: validators, ranges, compression. Pure functions."""

from __future__ import annotations

import re

_ETAGS = re.compile(r'(W/)?"[^"]*"')
_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})", re.ASCII)


class Unsatisfiable(Exception):
    """The range lies wholly behind the end of the file: 416."""


def etag(mtime: int, size: int) -> str:
    """A strong validator: the store derives a file's mtime (seconds) from its hash, so other bytes differ in it.

    Spelled as Caddy 2.6 does, so a visitor's copy stays good when a site moves from one edge to the other.
    """
    return f'"{_base36(mtime)}{_base36(size)}"'


def weak(tag: str) -> str:
    """The tag of the compressed form: equal in meaning, other bytes."""
    return f"W/{tag}"


def none_match_fails(header: str, tag: str) -> bool:
    """`If-None-Match` compares weakly: True means the visitor has this version, answer 304."""
    return header.strip() == "*" or tag in {_strong(found[0]) for found in _ETAGS.finditer(header)}


def match_fails(header: str, tag: str) -> bool:
    """`If-Match` compares strongly: True means 412."""
    return header.strip() != "*" and tag not in {found[0] for found in _ETAGS.finditer(header)}


def byte_range(header: str, if_range: str | None, tag: str, size: int) -> range | None:
    """The bytes asked for; None: send the whole file (no range, several, nonsense, or another version's).

    Raises Unsatisfiable. A date in `If-Range` never matches: no date is sent that could come back.
    """
    found = _RANGE.fullmatch(header.strip())
    if not found or (if_range is not None and if_range.strip() != tag) or size == 0:
        return None
    first, last = found.groups()
    if not first:
        if not last:
            return None
        if int(last) == 0:
            raise Unsatisfiable
        return range(max(0, size - int(last)), size)
    start, stop = int(first), min(int(last) + 1, size) if last else size
    if last and int(last) < start:
        return None
    if start >= size:
        raise Unsatisfiable
    return range(start, stop)


def accepts_gzip(header: str) -> bool:
    """`gzip`, `x-gzip` or `*`, unless its weight is 0. The name itself wins over the star."""
    weights: dict[str, float] = {}
    for part in header.lower().split(","):
        name, _, parameters = part.partition(";")
        found = re.search(r"q\s*=\s*([0-9.]+)", parameters)
        try:
            weights[name.strip()] = float(found[1]) if found else 1.0
        except ValueError:
            weights[name.strip()] = 0.0
    return next((weights[name] > 0 for name in ("gzip", "x-gzip", "*") if name in weights), False)


def _strong(tag: str) -> str:
    return tag.removeprefix("W/")


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits or "0"
