"""How a release answers a path: pure rules, decided without a disk and without HTTP.

`decide` is the whole of it: a file, a redirect, or the 404 page. The embedded edge asks it for every request.
The rules come from [static] of `gitdeploy.toml`, `_redirects` and `_headers` (`domain/page_rules.py`).
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from gitdeploy.domain import content_type
from gitdeploy.domain.page_rules import HeaderRule, RedirectRule, parse_headers, parse_redirects
from gitdeploy.domain.path_pattern import decoded, encoded, segments
from gitdeploy.errors import Invalid

__all__ = ["Redirect", "Rules", "Serve", "decide", "parse_headers", "parse_redirects"]

HIDDEN = ("_redirects", "_headers")
"""What begins with one of these at the root of a release is for the edge and never served."""

Kind = Literal["file", "folder"]
Exists = Callable[[str], Kind | None]
"""Says what lies at a path relative to the release's root: "a/b.html", "" for the root itself."""


@dataclass(frozen=True)
class Rules:
    """The page rules of one release. `Rules()` has none: such a release needs no rules.json."""

    redirects: tuple[RedirectRule, ...] = ()
    headers: tuple[HeaderRule, ...] = ()
    spa: bool = False
    clean_urls: bool = False
    not_found: str = "404.html"
    noindex: bool = False

    def __post_init__(self) -> None:
        whole = f"/{self.not_found}"
        if _tidy(whole) != whole or whole.endswith("/"):
            raise Invalid(
                f"static/not_found: {self.not_found!r} is no file of the site.",
                'Give a path from the root of the site such as "404.html".',
            )

    def as_json(self) -> dict[str, Any]:
        """`{redirects: [{source, target, status, force}], headers: [{source, headers}], spa, …}`."""
        return {
            "redirects": [rule.as_json() for rule in self.redirects],
            "headers": [rule.as_json() for rule in self.headers],
            "spa": self.spa,
            "clean_urls": self.clean_urls,
            "not_found": self.not_found,
            "noindex": self.noindex,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Rules:
        try:
            return cls(
                redirects=tuple(RedirectRule.from_json(one) for one in data["redirects"]),
                headers=tuple(HeaderRule.from_json(one) for one in data["headers"]),
                spa=bool(data["spa"]),
                clean_urls=bool(data["clean_urls"]),
                not_found=str(data["not_found"]),
                noindex=bool(data["noindex"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Invalid("These page rules cannot be read.", "Deploy the release again.") from error

    def redirects_for(self, path: str) -> Iterator[RedirectRule]:
        """The rules that may match, in the order they were written; exact ones are looked up, not tried."""
        order = heapq.merge(self._exact.get("/".join(segments(path)), ()), self._patterns)
        return (self.redirects[index] for index in order)

    def headers_for(self, path: str) -> tuple[tuple[str, str], ...]:
        """Headers of every rule that matches; one name said twice is joined with a comma, as in HTTP."""
        values: dict[str, list[str]] = {}
        for rule in self.headers:
            if rule.source.match(path) is not None:
                for name, value in rule.headers:
                    values.setdefault(name, []).append(value)
        return tuple((name, ", ".join(said)) for name, said in values.items())

    @cached_property
    def _exact(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        for index, rule in enumerate(self.redirects):
            if rule.source.is_exact:
                found[rule.source.key] = (*found.get(rule.source.key, ()), index)
        return found

    @cached_property
    def _patterns(self) -> tuple[int, ...]:
        return tuple(index for index, rule in enumerate(self.redirects) if not rule.source.is_exact)


@dataclass(frozen=True)
class Serve:
    """Answer with the file at `path` (from the root, no slash before it); None is the built-in 404 page."""

    path: str | None
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Redirect:
    """`to` is ready to be a Location header."""

    to: str
    status: int


def decide(rules: Rules, path: str, exists: Exists, query: str = "") -> Serve | Redirect:
    """What the release answers to decoded `path` (begins with "/"; a name's odd bytes as surrogate escapes).

    In this order: a rule that forces, the file that is there, the other rules, the SPA's page, the 404 page.
    """
    tidy = _tidy(path)
    if tidy is None:
        return _missing(rules, exists)
    answer = _answer(rules, tidy, exists)
    if isinstance(answer, Redirect):
        return Redirect(_with_query(answer.to, query), answer.status)
    return Serve(answer.path, answer.status, rules.headers_for(tidy)) if rules.headers else answer


def _answer(rules: Rules, path: str, exists: Exists) -> Serve | Redirect:
    there = _static(rules, path, exists)
    for rule in rules.redirects_for(path) if rules.redirects else ():
        if there is None or rule.force:
            answer = _apply(rule, rules, path, exists)
            if answer is not None:
                return answer
    if there is not None:
        return there
    if rules.spa and not content_type.is_asset(path) and exists("index.html") == "file":
        return Serve("index.html")
    return _missing(rules, exists)


def _static(rules: Rules, path: str, exists: Exists) -> Serve | Redirect | None:
    """The file a path names without any rule: itself, a folder's index.html, with `clean_urls` about.html."""
    name = path[1:]
    if name.casefold().startswith(HIDDEN):
        return None
    if path.endswith("/"):
        if exists(name + "index.html") == "file":
            return Serve(name + "index.html")
        if rules.clean_urls and name and exists(name[:-1] + ".html") == "file":
            return Redirect(encoded(path[:-1]), 308)
        return None
    kind = exists(name)
    if kind == "file":
        shorter = _clean(path) if rules.clean_urls and name != rules.not_found else path
        if shorter != path and exists(shorter[1:]) != "file":
            return Redirect(encoded(shorter), 308)
        return Serve(name)
    if rules.clean_urls and exists(name + ".html") == "file":
        return Serve(name + ".html")
    if kind == "folder" and exists(name + "/index.html") == "file":
        return Redirect(encoded(path + "/"), 308)
    return None


def _clean(path: str) -> str:
    """`/about.html` -> `/about`, `/docs/index.html` -> `/docs/`."""
    if path.endswith("/index.html"):
        return path.removesuffix("index.html")
    return path.removesuffix(".html") if not path.endswith("/.html") else path


def _apply(rule: RedirectRule, rules: Rules, path: str, exists: Exists) -> Serve | Redirect | None:
    values = rule.source.match(path)
    if values is None:
        return None
    to = rule.fill(values)
    target = _tidy(decoded(re.split(r"[?#]", to)[0])) if to.startswith("/") else None
    if rule.is_redirect:
        return None if target == path else Redirect(to, rule.status)  # a redirect to itself never ends
    file = _file_at(target, exists) if target else None
    if file is None:
        return _missing(rules, exists)
    if rule.status == 200 and "splat" in values and content_type.is_asset(path) and file.endswith(".html"):
        return None  # a catch-all page must not stand in for a missing script or style sheet
    return Serve(file, rule.status)


def _file_at(path: str, exists: Exists) -> str | None:
    name = path[1:].rstrip("/")
    if name.casefold().startswith(HIDDEN):
        return None
    tries = (name, f"{name}/index.html".lstrip("/"), f"{name}.html")
    return next((one for one in tries if exists(one) == "file"), None)


def _missing(rules: Rules, exists: Exists) -> Serve:
    return Serve(rules.not_found if exists(rules.not_found) == "file" else None, 404)


def _tidy(path: str) -> str | None:
    """The path with runs of "/" made one, so that `//evil.example` is never a host; None when it may not be.

    Refused are "." and ".." as segments (a browser has resolved its own, so they are an attempt) and NUL.
    """
    if not path.startswith("/") or "\0" in path:
        return None
    tidy = re.sub("/{2,}", "/", path)
    return None if {".", ".."} & set(tidy.split("/")) else tidy


def _with_query(to: str, query: str) -> str:
    """A visitor's query travels along, unless the target has its own."""
    if not query or "?" in to:
        return to
    before, hash_sign, fragment = to.partition("#")
    return f"{before}?{query}{hash_sign}{fragment}"
