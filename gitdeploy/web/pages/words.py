"""Filters of the templates: moments, sizes and facts as people say them."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from gitdeploy.domain.units import roughly

_BROWSERS = (
    ("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"),
)  # fmt: skip
_SYSTEMS = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)  # fmt: skip
_HEX = re.compile(r"[0-9a-f]{40,64}")


def ago(text: str | None) -> Markup:
    """A moment as people say it, with the exact one beside it for those who want it."""
    if not text:
        return Markup()
    since = (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()
    said = f"in {roughly(-since)}" if since < -1 else f"{roughly(since)} ago" if since >= 5 else "just now"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(text, moment(text), said)


def moment(text: str | None) -> str:
    return f"{text[:10]} {text[11:19]} UTC" if text else ""


def seconds(count: float | None) -> str:
    if count is None:
        return ""
    return f"{count:.1f} s" if count < 100 else roughly(count)


def lasted(begin: str | None, end: str | None) -> str:
    if not begin:
        return ""
    until = datetime.fromisoformat(end) if end else datetime.now(UTC)
    return seconds((until - datetime.fromisoformat(begin)).total_seconds())


def about(count: float) -> str:
    """A length of time as people say it."""
    return roughly(count)


def size(count: int) -> str:
    many = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if many < 1024:
            return f"{many:.0f} {unit}" if unit == "B" or many >= 10 else f"{many:.1f} {unit}"
        many /= 1024
    return f"{many:.1f} TB"


def facts(data: Mapping[str, Any]) -> str:
    """The data of an event in one line, digests by their beginning."""
    said = (f"{name}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
            for name, value in data.items() if value not in (None, "", [], {}))  # fmt: skip
    return _HEX.sub(lambda match: match[0][:10], " · ".join(said))


def short(commit: str | None) -> str:
    return (commit or "")[:7]


def branch(ref: str | None) -> str:
    return (ref or "").removeprefix("refs/heads/")


def number(count: int) -> str:
    return f"{count:,}"


def command(argv: Sequence[str]) -> str:
    """As somebody would type it."""
    return argv[2] if list(argv[:2]) == ["sh", "-c"] and len(argv) == 3 else shlex.join(argv)


def browser(agent: str) -> str:
    """`Firefox on Linux`, as far as a browser says what it is."""
    kind = next((name for mark, name in _BROWSERS if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    return f"{kind} on {system}" if kind and system else kind or agent[:60]


ALL = (ago, moment, seconds, lasted, about, size, facts, short, branch, number, command, browser)
