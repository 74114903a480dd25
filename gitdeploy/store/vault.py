"""Encryption at rest for what must not be read from a copy of the ledger: AES-256-GCM, key in the keys folder."""

from __future__ import annotations

import hmac
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gitdeploy.errors import Failed
from gitdeploy.store import durable

_NONCE = 12  # bytes, NIST SP 800-38D


class Vault:
    """`folder` holds `vault.key`: 32 random bytes, made on first use, readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "vault.key"

    def seal(self, plain: bytes, about: str) -> bytes:
        """`about` says what this is; the same words are needed to open it, so a value cannot be moved elsewhere."""
        nonce = os.urandom(_NONCE)
        return nonce + AESGCM(self._key()).encrypt(nonce, plain, about.encode())

    def open(self, sealed: bytes, about: str) -> bytes:
        """Raises Failed when the key is not the one it was sealed with, or a byte of it changed."""
        try:
            return AESGCM(self._key()).decrypt(sealed[:_NONCE], sealed[_NONCE:], about.encode())
        except InvalidTag as error:
            raise Failed(
                f"{about} cannot be decrypted.", f"Put back the {self._path.name} it was encrypted with."
            ) from error

    def derived(self, about: str) -> bytes:
        """32 bytes that are always the same for these words, and tell nothing of the key."""
        return hmac.digest(self._key(), f"derived: {about}".encode(), "sha256")

    def _key(self) -> bytes:
        try:
            key = self._path.read_bytes()
        except FileNotFoundError:
            durable.write_file(self._path, AESGCM.generate_key(256), mode=0o600)
            key = self._path.read_bytes()
        if len(key) != 32:
            raise Failed(f"{self._path} is not a key of 32 bytes.", "Put back the file from a backup.")
        return key
