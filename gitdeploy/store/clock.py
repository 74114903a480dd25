"""Now, in the one form that is stored and shown: UTC ISO 8601 with milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def now() -> str:
    return text(datetime.now(UTC))


def later(seconds: float) -> str:
    return text(datetime.now(UTC) + timedelta(seconds=seconds))


def at(seconds: float) -> str:
    """The moment so many seconds after 1970 began."""
    return text(datetime.fromtimestamp(seconds, UTC))


def text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
