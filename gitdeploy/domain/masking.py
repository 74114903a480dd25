"""Personal data becomes something of the same kind that tells nothing, the same for the same value and key.

`email`, `name` and `hash` are made of 64 bits and more of a keyed hash, so two values do not become one: joins and
unique columns hold. `text` keeps the length and the shape, and for that cannot promise the latter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from gitdeploy.errors import Invalid

_FIRST = (
    "Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gia", "Hal",
    "Ida", "Jon", "Kim", "Leo", "Mia", "Noa", "Ole", "Pia",
)  # fmt: skip
_LAST = (
    "Abel", "Berg", "Cruz", "Dahl", "Ernst", "Falk", "Gray", "Holm",
    "Ives", "Jung", "Kern", "Lind", "Moor", "Nash", "Orth", "Pohl",
)  # fmt: skip


def masker(kind: str, key: bytes) -> Callable[[str], str | None]:
    """Null stays null and what is empty stays empty. Raises Invalid for a kind that there is not."""
    if kind not in _KINDS:
        raise Invalid(f"There is no mask {kind[:40]!r}.", f"One of: {', '.join(MASKS)}.")
    make = _KINDS[kind]
    return lambda value: make(_digest(value, key), value) if value else value


# Private


def _digest(value: str, key: bytes) -> bytes:
    return hashlib.blake2b(value.encode("utf-8", "surrogateescape"), digest_size=32, key=key[:64]).digest()


def _email(digest: bytes, _value: str) -> str:
    return f"u{digest[:10].hex()}@example.invalid"


def _name(digest: bytes, _value: str) -> str:
    return f"{_FIRST[digest[0] % 16]} {_LAST[digest[1] % 16]} {digest[2:10].hex()}"


def _hash(digest: bytes, _value: str) -> str:
    return digest[:16].hex()


def _null(_digest: bytes, _value: str) -> None:
    return None


def _text(digest: bytes, value: str) -> str:
    stream = hashlib.shake_128(digest).digest(len(value))
    return "".join(map(_letter, value, stream))


def _letter(char: str, byte: int) -> str:
    if char.isdigit():
        return chr(ord("0") + byte % 10)
    if char.isalpha():
        letter = chr(ord("a") + byte % 26)
        return letter.upper() if char.isupper() else letter
    return char


_KINDS: dict[str, Callable[[bytes, str], str | None]] = {
    "email": _email, "name": _name, "null": _null, "text": _text, "hash": _hash,
}  # fmt: skip

MASKS = tuple(_KINDS)
