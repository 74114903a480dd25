"""What the server logs, and one id in every line of what somebody asked for: from the door to the switch.

A push has `psh_…`, any other request that changes something `req_…`, what was filed for its hour the id of that.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime

FORMATS = ("text", "json")
_FACTS = ("site", "env", "actor", "action", "subject")
_id: ContextVar[str] = ContextVar("trace", default="")


def current() -> str:
    """The id of what is being done here; "" for the server's own housekeeping."""
    return _id.get()


@contextlib.contextmanager
def of(id: str) -> Iterator[None]:
    """Everything inside, and every thread that is begun in it by the queue, is part of `id`."""
    token = _id.set(id)
    try:
        yield
    finally:
        _id.reset(token)


def write_logs(form: str) -> None:
    """To standard error from now on, as lines of `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.INFO)


# Private


class _Text(logging.Formatter):
    """`2026-11-01 02:00:00,000 INFO gitdeploy.push [psh_01J…]: …`, one line however odd the names in it are."""

    def format(self, record: logging.LogRecord) -> str:
        trace = f" [{current()}]" if current() else ""
        line = f"{self.formatTime(record)} {record.levelname} {record.name}{trace}: {_plain(record.getMessage())}"
        return line + ("\n" + self.formatException(record.exc_info) if record.exc_info else "")


class _Json(logging.Formatter):
    """`{"at", "level", "logger", "message"}`, with `id`, what it is about, and the `error` where there are."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        said = {
            "at": at.replace("+00:00", "Z"), "level": record.levelname.lower(), "logger": record.name,
            "id": current(), **{name: getattr(record, name, "") for name in _FACTS},
            "message": record.getMessage(),
            "error": self.formatException(record.exc_info) if record.exc_info else "",
        }  # fmt: skip
        return json.dumps({name: value for name, value in said.items() if value}, ensure_ascii=False)


def _plain(text: str) -> str:
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
