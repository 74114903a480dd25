"""Host names: the door between what a request claims and the name of a link in `live/`."""

from __future__ import annotations

import re

from gitdeploy.errors import Invalid

LONGEST_HOST = 253
HOST_PATTERN = r"[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})*"
_HOST = re.compile(HOST_PATTERN)
_PORT = re.compile(r"[0-9]{0,5}")


class HostName(str):
    """A host name in its one spelling: lower case labels, no port, no trailing dot."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> HostName:
        """Raises Invalid with what is allowed."""
        allowed = "Use labels of a-z, 0-9 and - joined by dots, such as blog.example.org."
        if len(text) > LONGEST_HOST:
            raise Invalid(f"A host name of {len(text)} characters is too long.", allowed)
        if not _HOST.fullmatch(text):
            raise Invalid(f"{text!r} is not a host name.", allowed)
        return cls(text)

    @classmethod
    def asked(cls, header: str) -> HostName | None:
        """The host a `Host` header means, whatever its case, port and trailing dot; None when it is none."""
        name, _, port = header.partition(":")
        plain = name.lower().removesuffix(".")
        fits = len(plain) <= LONGEST_HOST and _HOST.fullmatch(plain) and _PORT.fullmatch(port)
        return cls(plain) if fits else None

    @property
    def is_preview(self) -> bool:
        """`feature--blog.localhost` is; `xn--bcher-kva.example` is only an international name."""
        label = self.partition(".")[0]
        return "--" in label and not label.startswith("xn--")
