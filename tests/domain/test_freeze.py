from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gitdeploy.domain import freeze
from gitdeploy.domain.freeze import Freeze
from gitdeploy.errors import Invalid

WEEKEND, HOLIDAYS = "Fri 16:00 - Mon 08:00", "2026-12-20 - 2027-01-02"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def declared(begins: str, ends: str) -> Freeze:
    return Freeze("frz_1", "blog", "production", begins + "Z", ends + "Z", "the sale", "olga", begins + "Z")


@pytest.mark.parametrize(
    ("moment", "windows", "end"),
    [
        ("2026-11-20T15:59", [WEEKEND], None),
        ("2026-11-20T16:00", [WEEKEND], "2026-11-23T08:00Z"),
        ("2026-11-23T07:59", [WEEKEND], "2026-11-23T08:00Z"),
        ("2026-11-23T08:00", [WEEKEND], None),
        ("2026-11-24T12:00", ["Tue 09:00 - Tue 17:00"], "2026-11-24T17:00Z"),
        ("2026-11-24T18:00", ["Tue 17:00 - Tue 09:00"], "2026-12-01T09:00Z"),
        ("2026-12-19T23:59", [HOLIDAYS], None),
        ("2026-12-20T00:00", [HOLIDAYS], "2027-01-03T00:00Z"),
        ("2027-01-03T00:00", [HOLIDAYS], None),
        ("2026-12-18T17:00", [WEEKEND, "2026-12-21 - 2026-12-21"], "2026-12-22T00:00Z"),
        ("2026-11-21T00:00", [WEEKEND, "Mon 08:00 - Mon 12:00"], "2026-11-23T12:00Z"),
    ],
)
def test_what_holds_and_until_when(moment, windows, end):
    found = freeze.holding(at(moment), windows, [])
    assert (found.end if found else None) == end


def test_windows_that_never_leave_a_gap_have_no_end():
    found = freeze.holding(at("2026-11-21T00:00"), ["Mon 00:00 - Thu 00:00", "Thu 00:00 - Mon 00:00"], [])
    assert found is not None and found.until is None and found.end == ""


def test_what_somebody_declared_holds_with_its_reason():
    rows = [declared("2026-11-20T10:00", "2026-11-20T18:00")]
    assert freeze.holding(at("2026-11-20T09:59"), [], rows) is None
    found = freeze.holding(at("2026-11-20T10:00"), [], rows)
    assert found is not None and found.end == "2026-11-20T18:00Z"
    assert '"the sale", by olga (frz_1)' in found.said
    merged = freeze.holding(at("2026-11-20T10:00"), [WEEKEND], rows)
    assert merged is not None and merged.end == "2026-11-23T08:00Z"


@pytest.mark.parametrize(
    "text",
    ["", "Friday", "Fri 16:00", "Fri 24:00 - Mon 08:00", "Fri 16:00 - Fri 16:00", "2026-02-30 - 2026-03-02",
     "2027-01-02 - 2026-12-20", f"{WEEKEND} "],
)  # fmt: skip
def test_what_is_no_window_is_none(text):
    with pytest.raises(ValueError):
        freeze.parse(text)


@pytest.mark.parametrize(
    ("begins", "ends", "reason"),
    [("12", "11", "x"), ("12", "12", "x"), ("08", "09", "x"), ("11", "12", " "), ("11", "12", "x" * 1001)],
)
def test_a_window_that_is_over_or_has_no_reason_is_refused(begins, ends, reason):
    with pytest.raises(Invalid):
        freeze.check(begins, ends, reason, now="10")
