"""Whose turn it is to act: of the claims that servers have made, the greatest counts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from gitdeploy.errors import NotProven

_NAME = re.compile(r"(\d{8})-(srv_[0-9A-Z]{26})")


@dataclass(frozen=True, order=True)
class Claim:
    """A server's word that from now on it acts. `number` is one more than the greatest that it saw; of two with the
    same number that of the greater `holder` counts. For `lease` seconds after it last saw that its claim is the
    greatest a server goes on, so whoever claims waits for longer than that.
    """

    number: int
    holder: str
    host: str = field(default="", compare=False)
    lease: float = field(default=0.0, compare=False)

    @property
    def name(self) -> str:
        return f"{self.number:08}-{self.holder}"

    @classmethod
    def named(cls, name: str, host: str = "", lease: float = 0.0) -> Claim:
        """Raises NotProven for what is no name of a claim."""
        found = _NAME.fullmatch(name)
        if found is None:
            raise NotProven(f"{name!r} is no claim of a server.", "Remove it from terms/ in the place.")
        return cls(int(found[1]), found[2], host, lease)

    @property
    def wait(self) -> float:
        """Seconds until whoever held this one has stopped, clocks that run apart by an eighth allowed for."""
        return self.lease * 1.25
