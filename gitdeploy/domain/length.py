"""How long what people write may be: the same through every door."""

from __future__ import annotations

from gitdeploy.errors import Invalid

REASON_MAX = 1000  # characters


def at_most(most: int, what: str, text: str) -> str:
    """`text`; raises Invalid when it has more characters. `what` it is, as in "The label"."""
    if len(text) > most:
        raise Invalid(f"{what} has {len(text)} characters.", f"At most {most} are kept.")
    return text


def reason(text: str) -> str:
    return at_most(REASON_MAX, "The reason", text)
