"""Times in which nothing goes live: parts of every week, days, and windows that somebody declared."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from gitdeploy.domain.length import at_most
from gitdeploy.errors import Invalid

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LONGEST_REASON = 1000  # characters
_WEEK = timedelta(days=7)
_FARTHEST = timedelta(days=366)
_DAY, _CLOCK = f"({'|'.join(DAYS)})", "([01][0-9]|2[0-3]):([0-5][0-9])"
_WEEKLY = re.compile(rf"{_DAY} {_CLOCK} - {_DAY} {_CLOCK}")
_DATES = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}) - ([0-9]{4}-[0-9]{2}-[0-9]{2})")


@dataclass(frozen=True)
class Freeze:
    """A row of the ledger: nothing goes live in `env` from `begins` until `ends` (UTC ISO 8601), and why."""

    id: str
    site: str
    env: str
    begins: str
    ends: str
    reason: str
    actor: str
    created_at: str


@dataclass(frozen=True)
class Window:
    """What holds at a moment: until when, and what says so. `until` is the end of all windows that follow each other
    without a gap, None when they go on for more than a year.
    """

    until: datetime | None
    said: str

    @property
    def end(self) -> str:
        """`2026-11-23T08:00Z`, as `-o at=` takes it; "" for none."""
        return self.until.strftime("%Y-%m-%dT%H:%MZ") if self.until else ""


@dataclass(frozen=True)
class _Weekly:
    begins: timedelta  # since the week began, on Monday at 00:00
    ends: timedelta

    def end(self, at: datetime) -> datetime | None:
        monday = datetime.combine(at.date() - timedelta(days=at.weekday()), time(), UTC)
        length = (self.ends - self.begins) % _WEEK
        for week in (monday, monday - _WEEK):
            if week + self.begins <= at < week + self.begins + length:
                return week + self.begins + length
        return None


@dataclass(frozen=True)
class _Once:
    begins: datetime
    ends: datetime

    def end(self, at: datetime) -> datetime | None:
        return self.ends if self.begins <= at < self.ends else None


def parse(text: str) -> _Weekly | _Once:
    """`Fri 16:00 - Mon 08:00`, or `2026-12-20 - 2027-01-02` with both days. Raises ValueError for what is neither, and
    for what is never.
    """
    if (found := _WEEKLY.fullmatch(text)) is not None:
        one, hour, minute, other, to_hour, to_minute = found.groups()
        begins = timedelta(days=DAYS.index(one), hours=int(hour), minutes=int(minute))
        ends = timedelta(days=DAYS.index(other), hours=int(to_hour), minutes=int(to_minute))
        if begins == ends:
            raise ValueError(text)
        return _Weekly(begins, ends)
    if (found := _DATES.fullmatch(text)) is not None:
        first, last = (date.fromisoformat(day) for day in found.groups())
        if last < first:
            raise ValueError(text)
        return _Once(_midnight(first), _midnight(last + timedelta(days=1)))
    raise ValueError(text)


def holding(at: datetime, settings: Iterable[str], declared: Iterable[Freeze]) -> Window | None:
    """What nothing may go live for at `at` (aware), by `[…] freeze` and by what was declared; None when it may."""
    windows: list[tuple[_Weekly | _Once, str]] = [
        (parse(text), f"{text} (UTC) in gitdeploy.toml") for text in settings
    ]
    windows += [(_span(one), f'"{one.reason}", by {one.actor} ({one.id})') for one in declared]
    found = [(end, said) for window, said in windows if (end := window.end(at)) is not None]
    if not found:
        return None
    end, said = max(found, key=lambda one: one[0])
    while (more := [later for window, _ in windows if (later := window.end(end)) is not None]) != []:
        end = max(more)
        if end > at + _FARTHEST:
            return Window(None, said)
    return Window(end, said)


def check(begins: str, ends: str, reason: str, now: str) -> None:
    """Raises Invalid for a window that was never or is over, and without a reason for whoever is refused."""
    if not ends > begins or not ends > now:
        raise Invalid("A freeze ends after it begins, and later than now.", "Say: --until 2026-11-30T08:00")
    if not reason.strip():
        raise Invalid("A freeze needs a reason, which whoever is refused will read.", 'Say: --reason "…"')
    at_most(LONGEST_REASON, "The reason", reason)


# Private


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _span(one: Freeze) -> _Once:
    return _Once(datetime.fromisoformat(one.begins), datetime.fromisoformat(one.ends))
