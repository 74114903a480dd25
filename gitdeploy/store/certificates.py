"""Certificates that an owner brings: `certificates/<host>.pem`, the chain and behind it the key (RFC 7468)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from gitdeploy.errors import Invalid
from gitdeploy.store import durable


@dataclass(frozen=True)
class Certificate:
    """`pem` is what the edge reads. The key is in it: never shown, never logged."""

    pem: bytes
    names: tuple[str, ...]
    ends: datetime

    @classmethod
    def parse(cls, chain: str, key: str) -> Certificate:
        """Raises Invalid unless the key belongs to the first certificate, which has not ended."""
        try:
            certificates = x509.load_pem_x509_certificates(chain.encode())
        except ValueError as error:
            raise Invalid("The certificate is not PEM.", "Give the file with the whole chain.") from error
        try:
            private = load_pem_private_key(key.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise Invalid("The key is not PEM, or has a password.", "Give it without one.") from error
        leaf, form = certificates[0], (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if leaf.public_key().public_bytes(*form) != private.public_key().public_bytes(*form):
            raise Invalid("The key does not belong to the certificate.", "The site's own comes first in it.")
        if leaf.not_valid_after_utc <= datetime.now(UTC):
            raise Invalid("The certificate has ended.", "Get a new one, or let the server get it.")
        plain = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        pem = b"".join(one.public_bytes(Encoding.PEM) for one in certificates) + plain
        return cls(pem, _names(leaf), leaf.not_valid_after_utc)

    def covers(self, host: str) -> bool:
        """`*.example.org` stands for one label (RFC 6125)."""
        return bool({host, "*." + host.partition(".")[2]} & set(self.names))


def put(folder: Path, host: str, certificate: Certificate) -> None:
    durable.make_folder(folder, mode=0o700)
    durable.write_file(folder / f"{host}.pem", certificate.pem, mode=0o600)


def ends(folder: Path) -> dict[str, datetime]:
    """When each of them ends, by host; what cannot be read ended long ago."""
    found = {}
    for file in sorted(folder.glob("*.pem")):
        try:
            found[file.stem] = x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc
        except ValueError:
            found[file.stem] = datetime.min.replace(tzinfo=UTC)
    return found


def remove(folder: Path, host: str) -> None:
    if folder.is_dir():
        durable.remove(folder / f"{host}.pem")


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower() for name in names.get_values_for_type(x509.DNSName))
