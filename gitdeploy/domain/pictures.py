"""Pages as they look now and as they would, side by side."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import unescape
from urllib.parse import urlsplit

from typing_extensions import TypedDict

from gitdeploy.domain.diff import Names

MOST = 12
"""Pages of which pictures are taken."""


class PicturedPage(TypedDict):
    """`change` is changed, added, removed or same."""

    page: str
    change: str


@dataclass(frozen=True)
class Pictures:
    """A row of the ledger. `live` and `candidate` are the artifacts that were looked at, `artifact` what is stored: the
    PNG `<number>-live.png` and `<number>-candidate.png` for each page. `pages` is JSON, by number from 0
    `{page, change}` with `same`, `changed`, `added` or `removed`; `more` says how many other pages there were.
    """

    id: str
    site: str
    env: str
    live: str
    candidate: str
    build: str
    artifact: str
    pages: str
    more: int
    created_at: str
    actor: str

    @property
    def of(self) -> list[PicturedPage]:
        said: list[PicturedPage] = json.loads(self.pages)
        return said


def worth_a_look(pages: Names, listed: Iterable[str]) -> list[tuple[str, str]]:
    """Addresses with what they are in files: changed ones first, then new and removed ones, then the front page and
    what the sitemap lists, which may look different all the same.
    """
    known = [(page, kind) for kind in ("changed", "added", "removed") for page in pages[kind]]
    there = {page for page, _ in known}
    others = dict.fromkeys(["/", *listed])
    return [*known, *((page, "same") for page in others if page not in there)]


def in_sitemap(text: str) -> list[str]:
    """The paths that a sitemap (sitemaps.org) lists, whatever host they name."""
    found = (unescape(one.strip()) for one in re.findall(r"<loc>([^<]{1,2000})</loc>", text[: 1 << 20]))
    return [urlsplit(one).path or "/" for one in found]
