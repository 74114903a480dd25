"""Secrets in what a build or an app says become `[redacted]`, also across chunk borders and broken lines.

A secret is recognised plain, base64-encoded (at each of the three places it can have in a longer text),
URL-encoded and JSON-escaped. What is shorter than four bytes is not masked: the log would be unreadable.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

REDACTED = b"[redacted]"
LEAST = 4


class Masker:
    """`feed` gives back what is safe to show and keeps an end that may be the beginning of a secret."""

    def __init__(self, secrets: Iterable[str]) -> None:
        found = {form for secret in secrets for form in _forms(secret)}
        self._needles = sorted(found, key=lambda form: (-len(form), form))
        self._pattern = re.compile(
            b"|".join(b"\\n?".join(map(re.escape, _bytes(one))) for one in self._needles)
        )
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        if not self._needles:
            return chunk
        data = self._masked(self._held + chunk)
        cut = self._unfinished(data)
        self._held = data[cut:]
        return data[:cut]

    def flush(self) -> bytes:
        held, self._held = self._held, b""
        return held

    def _masked(self, data: bytes) -> bytes:
        joined = data.replace(b"\n", b"")
        if any(needle in joined for needle in self._needles):
            return self._pattern.sub(REDACTED, data)
        return data

    def _unfinished(self, data: bytes) -> int:
        """Where the longest end of `data` starts that begins a secret; line ends do not count."""
        tail = data[-2 * len(self._needles[0]) :]
        joined = tail.replace(b"\n", b"")
        longest = max(_overlap(joined, needle) for needle in self._needles)
        at = len(data)
        while longest:
            at -= 1
            longest -= data[at] != 0x0A
        return at


def _overlap(text: bytes, needle: bytes) -> int:
    """The length of the longest end of `text` that is a beginning of `needle`, but not all of it."""
    start = text.find(needle[:1], max(0, len(text) - len(needle) + 1))
    while start != -1:
        if needle.startswith(text[start:]):
            return len(text) - start
        start = text.find(needle[:1], start + 1)
    return 0


def _forms(secret: str) -> set[bytes]:
    plain = secret.encode("utf-8", errors="surrogateescape")
    lines = [line for line in plain.splitlines() if len(line) >= 2 * LEAST]
    forms = {plain, plain.strip(), *lines}
    for text in (quote(plain, safe=""), quote(plain), quote_plus(plain)):
        forms |= {text.encode(), re.sub("%..", lambda match: match[0].lower(), text).encode()}
    escaped = json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]
    forms |= {text.encode("utf-8", errors="surrogateescape") for text in escaped}
    for one in (plain, plain.strip()):
        forms |= set(_base64_forms(one))
    return {joined for form in forms if len(joined := form.replace(b"\n", b"")) >= LEAST}


def _base64_forms(plain: bytes) -> Iterable[bytes]:
    for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
        for alone in (plain, plain + b"\n"):
            yield encode(alone)
            yield encode(alone).rstrip(b"=")
        for before in range(3):
            # Six bits a character: leave out those at either end that depend on neighbouring bytes.
            first, last = -(-before * 8 // 6), (before + len(plain)) * 8 // 6
            yield encode(bytes(before) + plain)[first:last]


def _bytes(needle: bytes) -> Iterable[bytes]:
    return (needle[at : at + 1] for at in range(len(needle)))
