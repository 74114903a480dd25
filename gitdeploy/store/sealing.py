"""Files that nobody reads without the key: AES-256-SIV (RFC 5297), a frame of 1 MiB after the other.

The same bytes under the same key are sealed to the same bytes, so what did not change is still stored once. Who has no
key sees sizes, and which frames are equal. A frame that was changed, moved or cut off is not opened.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from gitdeploy.errors import Failed, NotProven
from gitdeploy.store import durable

FRAME = 1 << 20  # bytes
_TAG = 16  # bytes, before each frame
_KEY = 64  # bytes


class Sealing:
    """`path` holds the key, 64 random bytes, made when something is first sealed and readable by its owner alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    @property
    def key_id(self) -> str:
        """16 hexadecimal digits that tell keys apart and nothing else. Makes the key if there is none."""
        return hashlib.sha256(b"gitdeploy key id" + self._key(make=True)).hexdigest()[:16]

    def seal(self, content: Iterable[bytes]) -> Iterator[bytes]:
        return seal(self._key(make=True), content)

    def open(self, sealed: Iterable[bytes]) -> Iterator[bytes]:
        """Raises NotProven for what is not as it was sealed, Failed where the key is missing."""
        return unseal(self._key(make=False), sealed, f"Put back the {self._path.name} it was sealed with.")

    def _key(self, *, make: bool) -> bytes:
        with self._lock:
            if not self._path.exists():
                if not make:
                    raise Failed(
                        f"{self._path.name} is not there, and nothing that was sealed can be read without it.",
                        "Put it back into the keys folder from where you keep a copy.",
                    )
                durable.make_folder(self._path.parent, mode=0o700)
                durable.write_file(self._path, os.urandom(_KEY), mode=0o600)
            key = self._path.read_bytes()
        if len(key) != _KEY:
            raise Failed(f"{self._path} is not a key of {_KEY} bytes.", "Put back the file from a backup.")
        return key


def seal(key: bytes, content: Iterable[bytes]) -> Iterator[bytes]:
    """`key` has 64 bytes."""
    cipher = AESSIV(key)
    for frame, about in _numbered(_cut(content, FRAME)):
        # The library refuses to seal nothing, and an empty file is one frame of nothing.
        yield cipher.encrypt(b"\0" + frame, about)


def unseal(key: bytes, sealed: Iterable[bytes], hint: str) -> Iterator[bytes]:
    """Raises NotProven, with `hint`, for what is not as it was sealed."""
    cipher = AESSIV(key)
    for frame, about in _numbered(_cut(sealed, _TAG + 1 + FRAME)):
        try:
            yield cipher.decrypt(frame, about)[1:]
        except (InvalidTag, ValueError) as error:
            raise NotProven("What was sealed is damaged, or was sealed with another key.", hint) from error


def _cut(content: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces of `size`, the last of which may be shorter; one piece of nothing for no bytes."""
    held = bytearray()
    for piece in content:
        held += piece
        while len(held) > size:
            yield bytes(held[:size])
            del held[:size]
    yield bytes(held)


def _numbered(frames: Iterator[bytes]) -> Iterator[tuple[bytes, list[bytes]]]:
    """Each with what must be the same when it is opened: its number, and whether it is the last."""
    number = 0
    frame = next(frames)
    for following in frames:
        yield frame, [b"%d" % number, b"more"]
        number, frame = number + 1, following
    yield frame, [b"%d" % number, b"last"]
