"""Ed25519 signatures in DSSE envelopes (github.com/secure-systems-lab/dsse), and the keys they are made with.

`signing.pem` is the private key in use. `trusted/<key id>.pem` are the public keys that count: that of the
key in use and of those before it. A key's id is the SHA-256 of its public key as DER.
"""

from __future__ import annotations

import base64
import json
import threading
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from gitdeploy.domain.digest import Digest
from gitdeploy.errors import Failed, Invalid, NotProven
from gitdeploy.store import durable


class Keys:
    """Made in `folder` on first use."""

    def __init__(self, folder: Path) -> None:
        self._private = folder / "signing.pem"
        self._trusted = folder / "trusted"
        self._lock = threading.Lock()
        self._key: Ed25519PrivateKey | None = None

    def sign(self, payload_type: str, payload: bytes) -> bytes:
        """The envelope, as JSON, of what is said."""
        key = self._in_use()
        signature = key.sign(pae(payload_type, payload))
        envelope = {
            "payloadType": payload_type,
            "payload": _base64(payload),
            "signatures": [{"keyid": key_id(key.public_key()), "sig": _base64(signature)}],
        }
        return json.dumps(envelope).encode() + b"\n"

    def open(self, envelope: bytes, payload_type: str) -> bytes:
        """The payload, if a trusted key signed it as `payload_type`. Raises NotProven otherwise."""
        try:
            document = json.loads(envelope)
            payload = base64.b64decode(document["payload"], validate=True)
            signatures = [
                (Digest.parse(one["keyid"]), base64.b64decode(one["sig"], validate=True))
                for one in document["signatures"]
            ]
            stated = document["payloadType"]
        except (ValueError, LookupError, TypeError, AttributeError, Invalid) as error:
            raise NotProven("The signed envelope cannot be read.", "Build the commit again.") from error
        if stated != payload_type:
            raise NotProven(f"The envelope holds {str(stated)[:80]!r}, not {payload_type!r}.")
        if not any(self._holds(key, signature, pae(stated, payload)) for key, signature in signatures):
            raise NotProven(
                "No trusted key signed this.", "Build the commit again, so that it is signed again."
            )
        return payload

    def rotate(self) -> Digest:
        """Sign with a new key from now on; what earlier keys signed still counts."""
        with self._lock:
            self._key = self._make()
            return key_id(self._key.public_key())

    def trusted(self) -> tuple[Digest, ...]:
        """The ids of all keys that count."""
        if not self._trusted.is_dir():
            return ()
        return tuple(sorted(Digest.parse(one.stem) for one in self._trusted.glob("*.pem")))

    def _holds(self, key: Digest, signature: bytes, signed: bytes) -> bool:
        try:
            public = load_pem_public_key((self._trusted / f"{key}.pem").read_bytes())
            if not isinstance(public, Ed25519PublicKey) or key_id(public) != key:
                return False
            public.verify(signature, signed)
        except (FileNotFoundError, ValueError, InvalidSignature):
            return False
        return True

    def _in_use(self) -> Ed25519PrivateKey:
        with self._lock:
            if self._key is None:
                self._key = self._read() if self._private.exists() else self._make()
            return self._key

    def _read(self) -> Ed25519PrivateKey:
        try:
            key = load_pem_private_key(self._private.read_bytes(), password=None)
        except (OSError, ValueError) as error:
            raise _unreadable() from error
        if not isinstance(key, Ed25519PrivateKey):
            raise _unreadable()
        self._trust(key.public_key())
        return key

    def _make(self) -> Ed25519PrivateKey:
        key = Ed25519PrivateKey.generate()
        # Trusted before it is used: a crash in between leaves a key that has signed nothing.
        self._trust(key.public_key())
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        durable.write_file(self._private, text, mode=0o600)
        return key

    def _trust(self, key: Ed25519PublicKey) -> None:
        path = self._trusted / f"{key_id(key)}.pem"
        if not path.exists():
            durable.make_folder(self._private.parent, mode=0o700)
            durable.make_folder(self._trusted, mode=0o700)
            text = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            durable.write_file(path, text, mode=0o600)


def key_id(key: Ed25519PublicKey) -> Digest:
    return Digest.of(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: the bytes that are signed."""
    named = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(named), named, len(payload), payload)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _unreadable() -> Failed:
    return Failed(
        "The signing key cannot be read.", "Restore keys/signing.pem, or move it away to have a new key made."
    )
