"""Patterns for paths and branches: `*` and `?` stay within a folder, `**` crosses folders."""

from __future__ import annotations

import re
from functools import lru_cache


def matches(pattern: str, path: str) -> bool:
    """`src/**` matches everything below src, `*.md` only at the top, `**/*.md` everywhere."""
    return _expression(pattern).fullmatch(path) is not None


@lru_cache(maxsize=512)
def _expression(pattern: str) -> re.Pattern[str]:
    said = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.findall(r"\*\*+/|\*\*+|\*|\?|[^*?]+", pattern)
    return re.compile(
        "".join(said.get(re.sub(r"\*\*+", "**", part), re.escape(part)) for part in parts), re.DOTALL
    )
