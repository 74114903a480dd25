"""Domains of a site's own: a name somebody registered and pointed at this machine."""

from __future__ import annotations

import re
from dataclasses import dataclass

import idna

from gitdeploy.errors import Invalid

_WWW = "www."
_LONGEST = 253 - len(_WWW)  # RFC 1035, and room for its www.


class DomainName(str):
    """In its one spelling: lower case, international names as `xn--` (UTS 46, RFC 5891)."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> DomainName:
        """Raises Invalid with what is allowed."""
        allowed = "Write a name such as example.org, without https:// or a path."
        try:
            plain = idna.encode(text, uts46=True, std3_rules=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            raise Invalid(f"{text[:80]!r} is not a domain name.", allowed) from None
        labels = plain.split(".")
        if len(labels) < 2 or not labels[-1] or labels[-1].isdigit():
            raise Invalid(f"{text[:80]!r} is not a domain name.", allowed)
        if len(plain) > _LONGEST:
            raise Invalid(f"A domain of {len(plain)} characters is too long.", allowed)
        if re.search("^(?!xn--).*--", labels[0]):
            raise Invalid(f"{plain} looks like the address of a preview.", "Use a name without --.")
        return cls(plain)

    @property
    def other(self) -> DomainName:
        """`www.example.org` for `example.org`, and the other way round."""
        bare = self.removeprefix(_WWW)
        return DomainName(bare if bare != self and "." in bare else _WWW + self)

    def is_within(self, domain: str) -> bool:
        """Is it `domain`, or a name below it?"""
        return self == domain or self.endswith(f".{domain}")


@dataclass(frozen=True)
class Domain:
    """A row of the ledger. Its `other` name leads here too, unless it is a domain in its own right."""

    host: str
    site: str
    env: str
    created_at: str
    actor: str

    @property
    def name(self) -> DomainName:
        return DomainName(self.host)
