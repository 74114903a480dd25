"""The patterns of `_redirects` and `_headers`: `/blog/:year/:slug`, `/old/*`, `/*.css`.

`:name` stands for one segment, `*` (once, in the last segment) for any rest, slashes and nothing included.
A slash at the end makes no difference. Matching takes time in proportion to the path: no regular expression.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote, unquote_to_bytes

from gitdeploy.errors import Invalid

_PLACEHOLDER = re.compile(r":([A-Za-z_]\w*)")
_URL_SAFE = "/%:?#[]@!$&'()*+,;=~"


@dataclass(frozen=True)
class PathPattern:
    text: str

    def __post_init__(self) -> None:
        if not self.text.startswith("/"):
            raise Invalid(f'the path "{self.text}" should begin with "/"')
        if self.text.count("*") > 1 or "*" in self.text.rpartition("/")[0]:
            raise Invalid(f'"*" may stand once, in the last segment, in "{self.text}"')
        if len(set(self.names)) != len(self.names):
            raise Invalid(f'a placeholder is used twice in "{self.text}"')

    @property
    def is_exact(self) -> bool:
        return "*" not in self.text and not self.names

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The placeholders a target may use; the text under `*` is called `splat`."""
        named = tuple(one[1:] for one in self.text.split("/") if _PLACEHOLDER.fullmatch(one))
        return (*named, "splat") if "*" in self.text else named

    @cached_property
    def key(self) -> str:
        """The path an exact pattern matches, decoded and without a slash at the end."""
        return "/".join(self._segments)

    def match(self, path: str) -> dict[str, str] | None:
        """What each name stands for when decoded `path` matches, else None."""
        found = segments(path)
        fixed = self._segments
        if len(found) < len(fixed) or (self._star is None and len(found) != len(fixed)):
            return None
        values: dict[str, str] = {}
        for want, have in zip(fixed, found, strict=False):
            if _PLACEHOLDER.fullmatch(want):
                if not have:
                    return None
                values[want[1:]] = have
            elif want != have:
                return None
        if self._star is None:
            return values
        rest = "/".join(found[len(fixed) :])
        before, after = self._star
        if len(rest) < len(before) + len(after) or not (rest.startswith(before) and rest.endswith(after)):
            return None
        return {**values, "splat": rest[len(before) : len(rest) - len(after)]}

    @cached_property
    def _segments(self) -> tuple[str, ...]:
        parts = self.text.split("/")[1:]
        if "*" in self.text or parts[-1] == "":
            parts = parts[:-1]
        return tuple(decoded(one) for one in parts)

    @cached_property
    def _star(self) -> tuple[str, str] | None:
        before, star, after = self.text.rpartition("/")[2].partition("*")
        return (decoded(before), decoded(after)) if star else None


def segments(path: str) -> list[str]:
    """`/a/b/` and `/a/b` are ["a", "b"]; `/` is []."""
    parts = path.split("/")[1:]
    return parts[:-1] if parts and parts[-1] == "" else parts


def decoded(text: str) -> str:
    """Percent-decoded; bytes that are no UTF-8 survive as Python's surrogate escapes, as in a file name."""
    return os.fsdecode(unquote_to_bytes(text))


def encoded(path: str) -> str:
    """A decoded path as it stands in a URL: ASCII, no query, no fragment, no line break."""
    return quote(os.fsencode(path), safe="/~!$&'()*+,;=:@")


def placeholders(target: str) -> set[str]:
    return set(_PLACEHOLDER.findall(_path_of(target)[1]))


def fill(target: str, values: Mapping[str, str]) -> str:
    """`target` as a URL with each placeholder replaced by its value, percent-encoded: always plain ASCII."""
    base, path = _path_of(target)
    filled = _PLACEHOLDER.sub(
        lambda found: quote(os.fsencode(values.get(found[1], found[0])), safe="/~"), _ascii(path)
    )
    return _ascii(base) + filled


def _path_of(target: str) -> tuple[str, str]:
    """(`https://host:port`, rest): nothing a visitor types may reach the host."""
    found = re.match(r"https?://[^/?#]*", target)
    return (found[0], target[found.end() :]) if found else ("", target)


def _ascii(text: str) -> str:
    return quote(text, safe=_URL_SAFE)
