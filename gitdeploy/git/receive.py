"""The proc-receive conversation (githooks(5)): git lists what was pushed, we answer for each ref.

git:  version=1\\0push-options atomic     ours: version=1\\0push-options
git:  <old> <new> <ref> …                 ours: ok <ref> [option …] | ng <ref> <reason> …
git:  <push option> …
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from gitdeploy.domain.refs import Update
from gitdeploy.errors import Failed
from gitdeploy.git import pktline


@dataclass(frozen=True)
class Offer:
    """What git asks us to decide."""

    updates: tuple[Update, ...]
    options: tuple[str, ...]
    atomic: bool


@dataclass(frozen=True)
class Answer:
    """One ref's fate. `reason` refuses it; `fall_through` leaves the update to git; `moved` is the ref, old and
    new id that really changed, which the client prints instead of a ref that never existed.
    """

    ref: str
    reason: str = ""
    fall_through: bool = False
    moved: Update | None = None

    def packets(self) -> list[bytes]:
        if self.reason:
            return [_bytes(f"ng {self.ref} {_one_line(self.reason)}")]
        lines = [f"ok {self.ref}"]
        if self.fall_through:
            lines.append("option fall-through")
        if self.moved is not None:
            lines += [f"option refname {self.moved.ref}"]
            lines += [f"option old-oid {self.moved.old}", f"option new-oid {self.moved.new}"]
        return [_bytes(line) for line in lines]


def hear(from_git: BinaryIO, to_git: BinaryIO) -> Offer:
    """Greet git and read its offer. Raises Failed when git speaks another version."""
    greeting = b"".join(pktline.read_list(from_git))
    version, _, capabilities = greeting.partition(b"\0")
    if version != b"version=1":
        raise Failed(
            f"This git speaks {version.decode(errors='replace')} of proc-receive; version 1 is known."
        )
    offered = capabilities.split()
    accepted = [word for word in (b"push-options", b"atomic") if word in offered]
    to_git.write(pktline.write_list([b"version=1\0" + b" ".join(accepted)]))
    to_git.flush()
    updates = tuple(parse_update(packet) for packet in pktline.read_list(from_git))
    options: tuple[str, ...] = ()
    if b"push-options" in offered:
        options = tuple(packet.decode("utf-8", "replace") for packet in pktline.read_list(from_git))
    return Offer(updates, options, b"atomic" in offered)


def answer(to_git: BinaryIO, answers: Sequence[Answer]) -> None:
    to_git.write(pktline.write_list(packet for one in answers for packet in one.packets()))
    to_git.flush()


def parse_update(line: bytes) -> Update:
    """`<old> <new> <ref>`, as git gives it to every receive hook. Odd bytes in a ref survive as surrogates."""
    old, new, ref = line.rstrip(b"\n").split(b" ", 2)
    return Update(old.decode(), new.decode(), ref.decode("utf-8", "surrogateescape"))


def _one_line(text: str) -> str:
    """Git shows a reason on the pusher's terminal as it is, so nothing in it may steer that."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
