"""The headers of a request on its way to an app, and of the answer on its way back. Pure functions.

Nothing of the visitor's framing is passed on: both sides are written anew from what was parsed (RFC 9110, 7.6).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gitdeploy.runtime.edge.upstream import Head

Header = tuple[bytes, bytes]

_HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade")
)
_OURS = frozenset((b"content-length", b"expect", b"forwarded", b"http2-settings", b"proxy", b"x-real-ip"))
"""Decided by the edge, or claims about the visitor that only the edge may make (`Proxy`: CVE-2016-5385)."""


@dataclass(frozen=True)
class Asked:
    """How a request wants to be passed on. `length` is None without a body and when only its end tells it."""

    length: bytes | None
    is_chunked: bool
    upgrade: bytes

    @property
    def has_body(self) -> bool:
        return self.is_chunked or self.length not in (None, b"0")

    @classmethod
    def of(cls, headers: Iterable[Header]) -> Asked:
        said = {name: value for name, value in headers if name in _FRAMING}
        wants = b"upgrade" in _tokens(said.get(b"connection", b""))
        upgrade = said.get(b"upgrade", b"") if wants else b""
        # h2c would carry further requests past the edge, with whatever X-Forwarded-For they like
        upgrade = b"" if b"h2c" in _tokens(upgrade) else upgrade
        return cls(said.get(b"content-length"), b"transfer-encoding" in said, upgrade)


_FRAMING = frozenset((b"connection", b"upgrade", b"content-length", b"transfer-encoding"))


def request_head(
    method: str, target: bytes, headers: list[Header], asked: Asked, ours: Iterable[Header]
) -> bytes:
    """`ours` are the edge's own words, which replace the visitor's under the same name."""
    said = [*_passed_on(headers), *ours]
    if asked.is_chunked:
        said.append((b"transfer-encoding", b"chunked"))
    elif asked.length is not None:
        said.append((b"content-length", asked.length))
    if asked.upgrade:
        said += [(b"connection", b"Upgrade"), (b"upgrade", asked.upgrade)]
    else:
        said.append((b"connection", b"close"))
    return b"%b %b HTTP/1.1\r\n" % (method.encode("ascii"), target) + _lines(said)


def answer_headers(head: Head, always: Iterable[Header]) -> list[Header]:
    """Without what belongs to the app's connection; the edge writes its own Date, and `always` wins."""
    own = {b"date", *(name for name, _ in always)}
    if head.status in (204, 304):
        own.add(b"content-length")
    named = _named_by_connection(head.headers)
    return [
        (name, value)
        for name, value in head.headers
        if name not in _HOP_BY_HOP and name not in named and name not in own
    ] + [*always]


def raw_head(head: Head, always: Iterable[Header]) -> bytes:
    """The answer's head for a connection that is taken over: it has changed its protocol, or ends with its body."""
    switches = [pair for pair in head.headers if pair[0] == b"upgrade"] if head.status == 101 else []
    connection = (b"connection", b"Upgrade" if switches else b"close")
    said = [*answer_headers(head, always), *switches, connection]
    return b"HTTP/1.1 %d %b\r\n" % (head.status, head.reason) + _lines(said)


def _passed_on(headers: list[Header]) -> list[Header]:
    """Apps take `X_Forwarded_For` for `X-Forwarded-For` (both are HTTP_X_FORWARDED_FOR in CGI and WSGI)."""
    named = _named_by_connection(headers)
    unwanted = _OURS | _HOP_BY_HOP | named
    plain = [(name.replace(b"_", b"-"), name, value) for name, value in headers]
    return [
        (name, value)
        for meant, name, value in plain
        if meant not in unwanted and name not in unwanted and not meant.startswith(b"x-forwarded-")
    ]


def _named_by_connection(headers: list[Header]) -> frozenset[bytes]:
    """`Connection: close, x-secret` makes `x-secret` a matter of this connection; the host is never one."""
    tokens = [token for name, value in headers if name == b"connection" for token in _tokens(value)]
    return frozenset(tokens) - {b"host", b"authorization", b"cookie"}


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip().lower() for token in value.split(b",")]


def _lines(headers: Iterable[Header]) -> bytes:
    return b"".join([b"%b: %b\r\n" % pair for pair in headers]) + b"\r\n"
