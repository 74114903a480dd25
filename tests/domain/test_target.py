"""What people type after `rollback/`, `promote/` and `redeploy/`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitdeploy.domain.target import ByBuild, ByName, ByNumber, Live, Previous, parse
from gitdeploy.errors import Invalid

ULID = "01J8Z3K4M5N6P7Q8R9S0T1V2W3"


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("previous", Previous()),
        ("live", Live()),
        ("r41", ByNumber(41)),
        ("41", ByNumber(41)),
        (f"bld_{ULID}", ByBuild(f"bld_{ULID}")),
        (f"bld-{ULID.lower()}", ByBuild(f"bld_{ULID}")),
        ("v1.2", ByName("v1.2")),
        ("feature/x", ByName("feature/x")),
        ("release-1", ByName("release-1")),
        ("R41", ByName("R41")),
        ("9ffc9a1", ByName("9ffc9a1")),
    ],
)
def test_targets(text, means):
    assert parse(text) == means


@pytest.mark.parametrize("text", ["", "0", "r0", "r01", "-rf", "--all", "a\nb", "a\0", "x" * 256, "\x1b[31m"])
def test_what_names_nothing_is_refused_in_one_printable_sentence(text):
    with pytest.raises(Invalid) as refused:
        parse(text)
    assert refused.value.message.isprintable()
    assert "r41" in refused.value.hint


@pytest.mark.parametrize(
    ("name", "prefix"),
    [("9FFC9A1", "9ffc9a1"), ("9ffc9a", None), ("g" * 8, None), ("a" * 40, "a" * 40), ("a" * 41, None)],
)
def test_a_commit_prefix_has_seven_or_more_hex_digits(name, prefix):
    assert ByName(name).commit_prefix == prefix


def test_seven_digits_are_a_commit_and_fewer_a_release():
    assert parse("1234567") == ByName("1234567")
    assert parse("123456") == ByNumber(123456)


@given(st.integers(min_value=1, max_value=999_999))
def test_what_is_printed_is_read_back(number):
    assert parse(str(ByNumber(number))) == ByNumber(number)
