"""What a change of release means to visitors and to those who run the site, beyond its files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from typing_extensions import TypedDict

INDEX = "index.html"


def pages(paths: Iterable[str]) -> list[str]:
    """The addresses of those files that are pages: `docs/index.html` is `/docs/`, `about.html` is `/about.html`."""
    found = (f"/{path}" for path in paths if path.endswith((".html", ".htm")))
    return sorted(path.removesuffix(INDEX) if path.endswith(f"/{INDEX}") else path for path in found)


class Lines(TypedDict):
    added: list[str]
    removed: list[str]


class Names(Lines):
    changed: list[str]


def lines(old: str, new: str) -> Lines:
    """The lines of a file of rules that are new or gone, wherever they stand."""
    was, now = _said(old), _said(new)
    return {
        "added": [line for line in now if line not in was], "removed": [line for line in was if line not in now],
    }  # fmt: skip


def told(names: Names) -> list[str]:
    """Such as `PORT changed`."""
    ways = (("added", names["added"]), ("changed", names["changed"]), ("removed", names["removed"]))
    return [f"{name} {how}" for how, found in ways for name in found]


def settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """One sentence for each setting that is not the same, such as `health.path was "/" and is "/up"`."""
    was, now = dict(_flat(old)), dict(_flat(new))
    return [
        f"{name} was {_shown(was, name)} and is {_shown(now, name)}"
        for name in sorted({*was, *now})
        if was.get(name) != now.get(name)
    ]


def _said(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _flat(said: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in said.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield above + name, value


def _shown(said: Mapping[str, Any], name: str) -> str:
    return json.dumps(said[name], ensure_ascii=False) if name in said else "not set"
