"""What somebody who changes a thing believes of it: looked at once more in the same turn as the change."""

from __future__ import annotations

from collections.abc import Callable

Expect = Callable[[], None]
"""Raises when the thing is not what it was."""


def anything() -> None:
    """Of those who do not say what they expect."""
