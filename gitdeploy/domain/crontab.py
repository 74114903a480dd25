"""When a command is due: the five fields of crontab(5), in UTC, or `@hourly @daily @weekly @monthly`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError

_NAMED = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *"}


def parse(text: str) -> str:
    """The schedule in its one form. Raises ValueError for what is none."""
    said = " ".join(text.split())
    try:
        CronSim(_NAMED.get(said, said), datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise ValueError(str(error)) from error
    return said


def is_due(schedule: str, minute: datetime) -> bool:
    """Whether it is due in the minute that begins at `minute` (aware)."""
    return bool(next(CronSim(_NAMED.get(schedule, schedule), minute - timedelta(minutes=1))) == minute)
