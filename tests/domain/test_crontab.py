from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gitdeploy.domain import crontab


def due(text: str, *moment: int) -> bool:
    return crontab.is_due(crontab.parse(text), datetime(*moment, tzinfo=UTC))  # type: ignore[arg-type]


def test_it_is_due_in_its_minute_and_in_no_other() -> None:
    assert due("30 2 * * *", 2026, 3, 1, 2, 30)
    assert not due("30 2 * * *", 2026, 3, 1, 2, 31)
    assert due("*/15  * * * *", 2026, 3, 1, 7, 45)
    assert due("0 9 * * 1-5", 2026, 11, 20, 9) and not due("0 9 * * 1-5", 2026, 11, 21, 9)
    assert due("@daily", 2026, 3, 1) and due("@weekly", 2026, 11, 22) and not due("@weekly", 2026, 11, 21)


@pytest.mark.parametrize(
    "text", ["", "* * * *", "61 * * * *", "x * * * *", "@yearlyish", "5-1 * * * *", "0 0 31 2 *"]
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        crontab.parse(text)
