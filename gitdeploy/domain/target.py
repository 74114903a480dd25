"""What a person may name after `rollback/`, `promote/` or `redeploy/`.

previous            the release that served before this one and was not rejected
r41, 41             a release by number
bld_01J…            a build
9ffc9a1             a commit, by 7 or more hex digits
v1.2, feature/x     a tag or branch
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gitdeploy.errors import Invalid


@dataclass(frozen=True)
class Previous:
    def __str__(self) -> str:
        return "previous"


@dataclass(frozen=True)
class Live:
    def __str__(self) -> str:
        return "live"


@dataclass(frozen=True)
class ByNumber:
    number: int

    def __str__(self) -> str:
        return f"r{self.number}"


@dataclass(frozen=True)
class ByBuild:
    id: str

    def __str__(self) -> str:
        return self.id


@dataclass(frozen=True)
class ByName:
    """A tag, a branch or a commit prefix: which one is settled by looking."""

    name: str

    @property
    def commit_prefix(self) -> str | None:
        return self.name.lower() if re.fullmatch(r"[0-9a-fA-F]{7,40}", self.name) else None

    def __str__(self) -> str:
        return self.name


Target = Live | Previous | ByNumber | ByBuild | ByName


def parse(text: str) -> Target:
    """Raises Invalid when `text` can name nothing."""
    if text == "previous":
        return Previous()
    if text == "live":
        return Live()
    if match := re.fullmatch(r"r?([1-9][0-9]{0,5})", text):
        return ByNumber(int(match[1]))
    if re.fullmatch(r"bld[_-][0-9A-Za-z]{26}", text):
        return ByBuild("bld_" + text[4:].upper())
    if re.fullmatch(r"|r?0[0-9]*|-.*", text) or len(text) > 255 or not text.isprintable():
        raise Invalid(
            f"{text[:80]!r} names no release.",
            "Name one as r41, 41, previous, a tag, a branch or a commit of 7 or more hex digits.",
        )
    return ByName(text)
