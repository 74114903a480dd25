"""A machine that builds for this server, reached over SSH."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gitdeploy.errors import Invalid

MOST_PLACES = 64

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,28}[a-z0-9])?")
_ADDRESS = re.compile(
    r"ssh://(?P<user>[A-Za-z0-9_][A-Za-z0-9_.-]{0,31})@"
    r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?/?"
)


@dataclass(frozen=True)
class Builder:
    """A row of the ledger. `address` is `ssh://user@host:port`, `places` how many builds it makes at once."""

    name: str
    address: str
    places: int
    created_at: str
    actor: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise Invalid(
                f"{self.name[:80]!r} is not a name for a builder.",
                "Use 1 to 30 of a-z, 0-9 and hyphens inside.",
            )
        if not 1 <= self.places <= MOST_PLACES:
            raise Invalid(
                f"A builder cannot have {self.places} places.", f"Give it 1 to {MOST_PLACES} builds at once."
            )


def name_in(id: str) -> str | None:
    """Of the machine that built, by the id that a provenance has; None where it was the server itself."""
    return id.partition("@")[2] or None


@dataclass(frozen=True)
class Address:
    user: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Raises Invalid with what is allowed."""
        found = _ADDRESS.fullmatch(text)
        port = int(found["port"] or 22) if found else 0
        if found is None or not 0 < port < 65536:
            raise Invalid(
                f"{text[:80]!r} is not the address of a builder.", "Such as ssh://build@10.0.0.7:22"
            )
        return cls(found["user"], found["host"].strip("[]"), port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ssh://{self.user}@{host}:{self.port}"
