"""The kinds of value a setting can have: what is legal, what to say when it is not, how it is written.

A kind turns a TOML value into the value the program uses, or raises Invalid with the end of the sentence
"<file>:<line> <section>/<key>: should …".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gitdeploy.domain import crontab, freeze, units
from gitdeploy.domain.masking import MASKS
from gitdeploy.domain.oci import Reference
from gitdeploy.domain.rehearsal import VERBS
from gitdeploy.errors import GitdeployError, Invalid

MOST_SECONDS = 10 * 365 * 86400
MOST_BYTES = 1024**5


@dataclass(frozen=True)
class Kind:
    """`word` for the manual's table, `should` for a refusal, `read` for the check (raises ValueError)."""

    word: str
    should: str
    read: Callable[[Any], Any]
    write: Callable[[Any], str] = lambda value: toml(value)

    def parse(self, value: object) -> Any:
        """Raises Invalid whose message is `should be …`."""
        try:
            return self.read(value)
        except (ValueError, TypeError, GitdeployError) as error:
            raise Invalid(self.should) from error


def toml(value: Any) -> str:
    """A plain value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return "[" + ", ".join(toml(item) for item in value) + "]"


def count(least: int, most: int) -> Kind:
    def read(value: object) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError
        return value

    return Kind("number", f"should be a whole number from {least} to {most}", read)


def names(word: str, should: str, pattern: str) -> Kind:
    """A list of texts that each match `pattern`; kept as a tuple, and no item twice."""
    return Kind(
        word, should, lambda value: tuple(dict.fromkeys(_matching(pattern, item) for item in _list(value)))
    )


def _text(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise ValueError
    return value


def _matching(pattern: str, value: object) -> str:
    if not re.fullmatch(pattern, _text(value)):
        raise ValueError
    return _text(value)


def _duration(value: object) -> int:
    seconds = units.parse_duration(_text(value))
    if seconds > MOST_SECONDS:
        raise ValueError
    return seconds


def _some_duration(value: object) -> int:
    if (seconds := _duration(value)) == 0:
        raise ValueError
    return seconds


def _size(value: object) -> int:
    size = units.parse_size(_text(value))
    if not 1024**2 <= size <= MOST_BYTES:
        raise ValueError
    return size


def _bound(value: object) -> int:
    return 0 if value == "0" else _size(value)


def _folder(value: object) -> str:
    """A folder inside the tree, as `a/b`; `.` and `` are the tree's top and stay as they are."""
    parts = [part for part in _text(value).split("/") if part not in ("", ".")]
    if _text(value).startswith("/") or ".." in parts or any(ord(char) < 32 for char in _text(value)):
        raise ValueError
    return "/".join(parts) or ("." if value else "")


def _below(value: object) -> str:
    """Like a folder, but never the top."""
    if (path := _folder(value)) in ("", "."):
        raise ValueError
    return path


def _branch(value: object) -> str:
    """The rules of git-check-ref-format(1) that a person may trip over."""
    name = _matching(r"[^\x00-\x20~^:?*\[\\\x7f]{1,200}", value)
    parts = name.split("/")
    if any(not part or part.startswith((".", "-")) or part.endswith((".lock", ".")) for part in parts):
        raise ValueError
    if ".." in name or "@{" in name or name == "@" or parts[0] in ("refs", "HEAD"):
        raise ValueError
    return name


def _statuses(value: object) -> tuple[int, ...]:
    codes = tuple(value) if isinstance(value, list) else (value,)
    if not codes or not all(type(code) is int and 100 <= code <= 599 for code in codes):
        raise ValueError
    return tuple(sorted(set(codes)))


def _cron(value: object) -> str:
    return crontab.parse(_text(value))


def _mask(value: object) -> str:
    if value not in MASKS:
        raise ValueError
    return str(value)


def _replaced(value: object) -> dict[str, str]:
    """By environment; a text alone is for all of them."""
    found = value if isinstance(value, dict) else {"*": value}
    return {env: _matching(r"[^\x00-\x1f]{1,200}", one) for env, one in found.items()}


def _freezes(value: object) -> tuple[str, ...]:
    said = tuple(dict.fromkeys(_text(item) for item in _list(value)))
    for one in said:
        freeze.parse(one)
    return said


def _image(value: object) -> str:
    Reference.parse(_text(value))
    return _text(value)


text = Kind("text", "should be a text", _text)
flag = Kind("true or false", "should be true or false", _flag)
duration = Kind(
    "duration", 'should be a duration such as "30s"', _duration, lambda v: toml(units.print_duration(v))
)
some_duration = Kind(
    "duration", 'should be a duration such as "30s", longer than 0', _some_duration, duration.write
)
size = Kind(
    "size", 'should be a size such as "512MB", at least 1MB', _size, lambda v: toml(units.print_size(v))
)
bound = Kind(
    "size",
    'should be a size such as "512MB", at least 1MB, or "0" for no bound',
    _bound,
    lambda v: toml(units.print_size(v) if v else "0"),
)
folder = Kind("folder", 'should be a folder inside the repository such as "dist"', _folder)
page = Kind("file", 'should be a file of the site such as "404.html"', _below)
folders = Kind(
    "list of folders",
    'should be a list of folders inside the repository such as ["node_modules"]',
    lambda value: tuple(dict.fromkeys(_below(item) for item in _list(value))),
)
globs = names("list of patterns", 'should be a list of patterns such as ["src/**"]', r"[^\x00-\x1f]{1,200}")
globs_if_said = Kind(globs.word, globs.should, lambda value: None if value is None else globs.read(value))
mask = Kind("mask", f"should be a mask: {', '.join(MASKS)}", _mask)
replaced = Kind(
    "text or table",
    'should be a text, or a table such as { staging = "staging.example.org", preview = "{host}" }',
    _replaced,
)
variables = names(
    "list of names", 'should be a list of variable names such as ["API_URL"]', r"[A-Za-z_][A-Za-z0-9_]{0,99}"
)
databases = names(
    "list",
    'should be a list of "sqlite:<path>", "postgres" or "mariadb"',
    r"sqlite:[^/\x00-\x1f][^\x00-\x1f]*|postgres|mariadb",
)
freezes = Kind(
    "list", 'should be a list such as ["Fri 16:00 - Mon 08:00", "2026-12-20 - 2027-01-02"]', _freezes
)
rehearsed = names("list", f'should be a list of {", ".join(VERBS)}, such as ["migration"]', "|".join(VERBS))
branch = Kind("branch", 'should be a branch name such as "main"', _branch)
url_path = Kind(
    "path", 'should be a path such as "/healthz"', lambda value: _matching(r"/[\x21-\x7e]{0,500}", value)
)
statuses = Kind(
    "status or list",
    "should be an HTTP status such as 200, or a list of them",
    _statuses,
    lambda value: toml(value[0] if len(value) == 1 else value),
)
driver = Kind("text", 'should be "local" or "swarm"', lambda value: _matching("local|swarm", value))
image = Kind(
    "image",
    'should be the name of an image such as "python:3.12-slim"',
    lambda value: value and _image(value),
)
constraints = names(
    "list",
    'should be a list of constraints on nodes such as ["node.labels.zone==a"]',
    r"(node|engine)\.[A-Za-z0-9_.-]{1,100} ?(==|!=) ?[A-Za-z0-9_.:/-]{1,200}",
)
preview_data = Kind(
    "text",
    'should be "none", "clone" or the name of a snapshot',
    lambda value: _matching(r"none|clone|[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", value),
)
schedule = Kind("schedule", 'should be a schedule such as "0 2 * * *" or @daily', _cron)
some_schedule = Kind("schedule", schedule.should, lambda value: value and _cron(value))
command = Kind("command", "should be a command", lambda value: _matching(r"(?s).*\S.*", value))
