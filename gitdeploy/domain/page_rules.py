"""`_redirects` and `_headers`, in the syntax Netlify made common, each line understood or refused by number.

# from            to                     status ("!": even when the file exists)
/old/:slug        /posts/:slug           301
/docs/*           https://docs.example/:splat
/app/*            /app/index.html        200

/assets/*
  Cache-Control: public, max-age=31536000, immutable
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gitdeploy.domain.path_pattern import PathPattern, fill, placeholders
from gitdeploy.errors import Invalid

MOST_RULES = 10_000
MOST_PATTERNS = 1_000
"""Rules with `*` or `:name`; they are tried one by one for every request."""

_REDIRECTS = (301, 302, 303, 307, 308)
_STATUS = re.compile(r"(\d{3})(!?)")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")
_THE_EDGES_OWN = re.compile(
    "accept-ranges|age|allow|alt-svc|connection|content-(encoding|length|range)|date|etag|host|keep-alive|"
    "last-modified|location|server|te|trailer|transfer-encoding|upgrade|vary"
)


@dataclass(frozen=True)
class RedirectRule:
    source: PathPattern
    target: str
    status: int = 301
    force: bool = False

    def __post_init__(self) -> None:
        external = re.match(r"https?://[^/?#:\s]+(:\d+)?(?=[/?#]|$)", self.target)
        if not external and (not self.target.startswith("/") or self.target.startswith("//")):
            raise Invalid(f'the target "{self.target}" should begin with "/", "http://" or "https://"')
        if re.search(r"[\x00-\x20\x7f\\]", self.target):
            raise Invalid(f'the target "{self.target}" holds a character that must be percent-encoded')
        if self.status not in (200, 404, *_REDIRECTS):
            raise Invalid(f"the status {self.status} should be 200, 301, 302, 303, 307, 308 or 404")
        if external and not self.is_redirect:
            raise Invalid(f"a {self.status} to another host would be a proxy; use a redirect such as 302")
        unknown = placeholders(self.target) - set(self.source.names)
        if unknown:
            raise Invalid(f'the target uses ":{min(unknown)}", which "{self.source.text}" does not set')

    @property
    def is_redirect(self) -> bool:
        return self.status in _REDIRECTS

    def fill(self, values: Mapping[str, str]) -> str:
        """The target as a URL; a splat that begins with "/" cannot turn a path into another host."""
        to = fill(self.target, values)
        return re.sub("^/{2,}", "/", to)

    def as_json(self) -> dict[str, Any]:
        return {
            "source": self.source.text,
            "target": self.target,
            "status": self.status,
            "force": self.force,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RedirectRule:
        return cls(PathPattern(data["source"]), data["target"], int(data["status"]), bool(data["force"]))


@dataclass(frozen=True)
class HeaderRule:
    source: PathPattern
    headers: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        for name, value in self.headers:
            if not _HEADER_NAME.fullmatch(name):
                raise Invalid(f'"{name}" is not a header name')
            if _THE_EDGES_OWN.fullmatch(name.lower()):
                raise Invalid(f"{name} is set by the server itself")
            if not _HEADER_VALUE.fullmatch(value):
                raise Invalid(f"the value of {name} should be plain ASCII")

    def as_json(self) -> dict[str, Any]:
        return {"source": self.source.text, "headers": [list(pair) for pair in self.headers]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> HeaderRule:
        return cls(PathPattern(data["source"]), tuple((str(n), str(v)) for n, v in data["headers"]))


def parse_redirects(text: str) -> tuple[RedirectRule, ...]:
    """Raises Invalid as `_redirects:7 the status 999 should be …`."""
    rules: list[RedirectRule] = []
    patterns = 0
    for number, line in _lines(text):
        try:
            rules.append(_redirect(line))
            patterns += not rules[-1].source.is_exact
            if len(rules) > MOST_RULES or patterns > MOST_PATTERNS:
                raise Invalid(f"more than {MOST_RULES} rules, or {MOST_PATTERNS} with * or :name")
        except Invalid as error:
            raise _at("_redirects", number, error) from error
    return tuple(rules)


def parse_headers(text: str) -> tuple[HeaderRule, ...]:
    """Raises Invalid as `_headers:3 "Content Type" is not a header name`."""
    blocks: list[tuple[PathPattern, list[tuple[str, str]]]] = []
    for number, line in _lines(text):
        try:
            if line[0] not in " \t":
                blocks.append((PathPattern(line.strip()), []))
                if len(blocks) > MOST_PATTERNS:
                    raise Invalid(f"more than {MOST_PATTERNS} paths")
                continue
            if not blocks:
                raise Invalid("a header should stand under a path such as /*")
            name, colon, value = line.strip().partition(":")
            if not colon:
                raise Invalid(f'"{line.strip()}" should be "Name: value"')
            pair = (name.strip(), value.strip())
            HeaderRule(blocks[-1][0], (pair,))
            blocks[-1][1].append(pair)
        except Invalid as error:
            raise _at("_headers", number, error) from error
    return tuple(HeaderRule(source, tuple(pairs)) for source, pairs in blocks if pairs)


def _redirect(line: str) -> RedirectRule:
    words = line.split()
    words = words[: next((at for at, word in enumerate(words) if word.startswith("#")), len(words))]
    asks_query = len(words) > 1 and "=" in words[1] and not words[1].startswith(("/", "http"))
    if asks_query or any("=" in word for word in words[3:]):
        raise Invalid("conditions on a query, country, language or role are not supported")
    if not 2 <= len(words) <= 3:
        raise Invalid("should be: from to [status]")
    status = _STATUS.fullmatch(words[2]) if len(words) == 3 else _STATUS.fullmatch("301")
    if not status:
        raise Invalid(f'"{words[2]}" should be a status such as 301, or 301! to win over a file')
    return RedirectRule(PathPattern(words[0]), words[1], int(status[1]), bool(status[2]))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.rstrip()


def _at(file: str, number: int, error: Invalid) -> Invalid:
    return Invalid(f"{file}:{number} {error.message}.", f"Correct line {number} of {file} and push again.")
