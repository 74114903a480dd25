"""Masked values tell nothing, and still are what a program expects of them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitdeploy.domain.masking import masker
from gitdeploy.errors import Invalid

KEY = b"of this site"


@pytest.mark.parametrize("kind", ["email", "name", "hash", "text", "null"])
@given(value=st.text(min_size=1))
def test_the_same_value_becomes_the_same_with_the_same_key_alone(kind: str, value: str):
    assert masker(kind, KEY)(value) == masker(kind, KEY)(value)
    if kind in ("email", "name", "hash"):
        assert masker(kind, KEY)(value) != masker(kind, b"of another")(value)


@pytest.mark.parametrize("kind", ["email", "name", "hash"])
@given(values=st.sets(st.text(min_size=1), min_size=2, max_size=50))
def test_what_was_unique_stays_so(kind: str, values: set[str]):
    assert len({masker(kind, KEY)(value) for value in values}) == len(values)


@given(st.text(min_size=1))
def test_a_mail_address_is_one_that_reaches_nobody(value: str):
    masked = masker("email", KEY)(value)
    assert masked is not None and re.fullmatch(r"u[0-9a-f]{20}@example\.invalid", masked)


@given(st.text(min_size=1))
def test_text_keeps_its_length_and_spaces(value: str):
    masked = masker("text", KEY)(value)
    assert masked is not None and len(masked) == len(value)
    assert [char for char in masked if char.isspace()] == [char for char in value if char.isspace()]


def test_null_and_empty():
    assert masker("null", KEY)("Ana") is None
    assert masker("email", KEY)("") == ""


def test_an_unknown_kind_is_named():
    with pytest.raises(Invalid, match="no mask 'phone'") as refused:
        masker("phone", KEY)
    assert "email" in refused.value.hint
