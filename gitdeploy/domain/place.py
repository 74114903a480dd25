"""The names of the folders that make a release live: they end up in paths and in a glob."""

from __future__ import annotations

import re

from gitdeploy.errors import Invalid

ENVIRONMENT_PATTERN = r"[a-z0-9][a-z0-9-]{0,62}"
SLOT_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"

LONGEST_SOCKET = 107
"""Bytes in the path of a unix socket (unix(7): 108 with its NUL)."""

NO_WEB = "no-web"
"""A file in the slot of an app that has no program for visitors."""

RECENT = 3600.0
RECENT_SLOTS = 3
"""For so many seconds the last few releases that were followed still serve their hashed assets."""


class FolderName(str):
    """The folder of an environment, such as `production` or `feature-checkout`; also of a site."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> FolderName:
        if not re.fullmatch(ENVIRONMENT_PATTERN, text):
            raise Invalid(
                f"{text!r} cannot be the folder of an environment.", "Use a-z, 0-9 and hyphens inside."
            )
        return cls(text)


class SlotName(str):
    """The name of a slot within its environment, such as `r42`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> SlotName:
        if not re.fullmatch(SLOT_PATTERN, text):
            raise Invalid(f"{text!r} cannot be the name of a slot.", "Use letters, digits and . _ - inside.")
        return cls(text)
