from __future__ import annotations

import pytest

from gitdeploy.domain import units
from gitdeploy.errors import Invalid


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0), ("30s", 30), ("90s", 90), ("5m", 300), ("2h", 7200), ("7d", 604800)]
)
def test_durations_are_read_and_printed_back(text: str, seconds: int) -> None:
    assert units.parse_duration(text) == seconds
    assert units.print_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "size"), [("512MB", 512 << 20), ("2GB", 2 << 30), ("1000B", 1000), ("0B", 0)]
)
def test_sizes_are_read_and_printed_back(text: str, size: int) -> None:
    assert units.parse_size(text) == size
    assert units.print_size(size) == text


def test_the_letter_b_and_its_case_do_not_matter() -> None:
    assert units.parse_size("512M") == units.parse_size("512mb") == units.parse_size("512MB")


@pytest.mark.parametrize(
    "text", ["", "5", "s", "-5s", "5 s", "1.5h", "5M", "1h30m", "٥s", "5s\n", "9999999999s"]
)
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(Invalid, match="not a duration"):
        units.parse_duration(text)


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "1.5GB", "1 GB", "1XB", "1MiB", "1GBB", "²B"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(Invalid, match="not a size"):
        units.parse_size(text)
