"""The name of immutable bytes: their SHA-256."""

from __future__ import annotations

import hashlib
import re

from gitdeploy.errors import Invalid

_FORM = re.compile(r"[0-9a-f]{64}")


class Digest(str):
    """64 lower-case hexadecimal digits. Text from outside goes through `parse`; the constructor trusts."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Digest:
        if not _FORM.fullmatch(text):
            raise Invalid(
                f"{text[:80]!r} is not a digest.", "A digest is the 64 lower-case hex digits of a SHA-256."
            )
        return cls(text)

    @classmethod
    def of(cls, data: bytes) -> Digest:
        return cls(hashlib.sha256(data).hexdigest())

    @property
    def short(self) -> str:
        """The first 12 digits: enough for people."""
        return self[:12]
