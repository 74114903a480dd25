"""What may stand before an environment: a list of those who may come, a password, maintenance. Pure values with
their written forms.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gitdeploy.errors import Invalid

RETRY_AFTER = 60
"""Seconds a visitor is told to wait when nobody said until when maintenance lasts."""

_COST = (2**14, 8, 1)
"""scrypt's n, r, p: 16 MiB and about 40 ms for one guess."""


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network(text: str) -> Network:
    """`192.0.2.7`, `192.0.2.0/24` or `2001:db8::/32`; raises Invalid."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise Invalid(
            f"{text[:80]!r} is no address.", "Write an address or a network, such as 192.0.2.0/24."
        ) from error


def admits(networks: Iterable[Network], visitor: str) -> bool:
    """`visitor` is an address; what is none is not admitted."""
    try:
        address = ipaddress.ip_address(visitor)
    except ValueError:
        return False
    plain = getattr(address, "ipv4_mapped", None) or address
    return any(plain in one for one in networks)


@dataclass(frozen=True)
class Allowed:
    """Those who may come, and nobody else."""

    networks: tuple[Network, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """`{networks}`, as text."""
        return {"networks": [str(one) for one in self.networks]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Allowed:
        try:
            return cls(tuple(network(str(one)) for one in data["networks"]))
        except (KeyError, TypeError) as error:
            raise Invalid("This is no allow.json.", "Say again who may come: gitdeploy allow.") from error


@dataclass(frozen=True)
class Maintenance:
    """`until` (ISO 8601, "" when nobody knows) only tells visitors when to return; it ends nothing.

    `allow` are addresses or networks (`192.0.2.7`, `2001:db8::/32`) whose visitors see the site all the same.
    """

    message: str = ""
    until: str = ""
    allow: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for one in self.allow:
            network(one)
        if self.until:
            _moment(self.until)

    def admits(self, visitor: str) -> bool:
        return admits(map(network, self.allow), visitor)

    def retry_after(self, now: datetime) -> int:
        """Seconds, at least one."""
        return max(1, math.ceil((_moment(self.until) - now).total_seconds())) if self.until else RETRY_AFTER

    def as_json(self) -> dict[str, Any]:
        """`{message, until, allow}`."""
        return {"message": self.message, "until": self.until, "allow": list(self.allow)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Maintenance:
        try:
            allow = tuple(str(one) for one in data.get("allow") or ())
            return cls(str(data.get("message") or ""), str(data.get("until") or ""), allow)
        except (AttributeError, TypeError) as error:
            raise Invalid("This is no maintenance.json.", "Switch maintenance on again, or off.") from error


@dataclass(frozen=True)
class Password:
    """A salted scrypt hash, written as `scrypt$n$r$p$salt$key` with salt and key in hexadecimal."""

    cost: tuple[int, int, int]
    salt: bytes
    key: bytes

    @classmethod
    def of(cls, secret: str, salt: bytes) -> Password:
        """Raises Invalid for an empty one."""
        if not secret:
            raise Invalid("A password cannot be empty.", "Give one, or take the password away.")
        return cls(_COST, salt, _derive(secret.encode(), salt, _COST))

    def fits(self, secret: bytes) -> bool:
        """Takes as long for a wrong one as for the right one."""
        return hmac.compare_digest(_derive(secret, self.salt, self.cost), self.key)

    def __str__(self) -> str:
        return "$".join(["scrypt", *map(str, self.cost), self.salt.hex(), self.key.hex()])

    @classmethod
    def parse(cls, text: str) -> Password:
        try:
            kind, n, r, p, salt, key = text.strip().split("$")
            if kind != "scrypt" or not key:
                raise ValueError(kind)
            return cls((int(n), int(r), int(p)), bytes.fromhex(salt), bytes.fromhex(key))
        except ValueError as error:
            raise Invalid("The stored password cannot be read.", "Set the password again.") from error


def _derive(secret: bytes, salt: bytes, cost: tuple[int, int, int]) -> bytes:
    n, r, p = cost
    return hashlib.scrypt(secret, salt=salt, n=n, r=r, p=p, dklen=32)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError("no zone")
    except ValueError as error:
        raise Invalid(f"{text!r} is no moment.", "Write it as 2030-01-31T18:00:00Z.") from error
    return moment
