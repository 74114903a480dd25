"""Which commits others take back, by the sentence that `git revert` writes (git-revert(1))."""

from __future__ import annotations

import re
from collections.abc import Mapping

REVERTS = "This reverts commit "
_SENTENCE = re.compile(REVERTS + r"([0-9a-f]{40})\b")


def reverted(messages: Mapping[str, str]) -> frozenset[str]:
    """The commits that these commits, newest first, take back. A revert that is itself reverted takes back nothing."""
    gone: set[str] = set()
    for commit, message in messages.items():
        if commit not in gone:
            gone.update(_SENTENCE.findall(message))
    return frozenset(gone)
