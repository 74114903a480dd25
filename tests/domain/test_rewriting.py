"""Addresses are replaced in text, in PHP's serialised values and in JSON, and what holds them stays readable."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitdeploy.domain.rewriting import replacer

rewrite = replacer({"https://stage.test": "https://example.org", "stage.test": "example.org"})


def serialised(value: object) -> str:
    """What PHP's serialize() writes."""
    if value is None:
        return "N;"
    if isinstance(value, bool):
        return f"b:{value:d};"
    if isinstance(value, int):
        return f"i:{value};"
    if isinstance(value, float):
        return f"d:{value!r};"
    if isinstance(value, str):
        return f's:{len(value.encode())}:"{value}";'
    assert isinstance(value, dict)
    return f"a:{len(value)}:{{" + "".join(serialised(k) + serialised(v) for k, v in value.items()) + "}"


def replaced(value: object) -> object:
    if isinstance(value, str):
        return rewrite(value)
    if isinstance(value, dict):
        return {replaced(key): replaced(one) for key, one in value.items()}
    return value


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("see https://stage.test/a and stage.test.", "see https://example.org/a and example.org."),
        ("mystage.test www.stage.test stage.test.org stage.test-1", None),
        ('s:18:"https://stage.test";', 's:19:"https://example.org";'),
        (
            'a:2:{s:3:"url";s:20:"https://stage.test/☃";i:0;O:3:"Foo":1:{s:1:"x";s:10:"stage.test";}}',
            None,
        ),
        (
            'a:2:{s:3:"url";s:22:"https://stage.test/☃";i:0;O:3:"Foo":1:{s:1:"x";s:10:"stage.test";}}',
            'a:2:{s:3:"url";s:23:"https://example.org/☃";i:0;O:3:"Foo":1:{s:1:"x";s:11:"example.org";}}',
        ),
        ('s:26:"s:18:"https://stage.test";";', 's:27:"s:19:"https://example.org";";'),
        ('C:3:"Foo":10:{stage.test}', None),
        ('a:1:{s:3:"url";s:99:"https://stage.test";}', None),
        ('{"a": "https:\\/\\/stage.test\\/x", "b":  1.0}', '{"a": "https:\\/\\/example.org\\/x", "b":  1.0}'),
        ('["stage.test", "\\u00e9 stage.test"]', '["example.org", "\\u00e9 example.org"]'),
        ('{"a": "s:10:\\"stage.test\\";"}', '{"a": "s:11:\\"example.org\\";"}'),
        ("{not json stage.test", "{not json example.org"),
    ],
)
def test_what_is_replaced(before: str, after: str | None):
    assert rewrite(before) == (before if after is None else after)


pieces = st.lists(
    st.sampled_from(["https://stage.test", "stage.test", "☃", '";', "}", " ", "a:1:{", "x"])
).map(" ".join)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | pieces,
    lambda inner: st.dictionaries(pieces | st.integers(), inner, max_size=4),
    max_leaves=12,
)


@given(values.filter(lambda value: isinstance(value, (dict, str))))
def test_lengths_are_right_at_every_depth(value: object):
    once = serialised(value)
    assert rewrite(once) == serialised(replaced(value))
    assert rewrite(serialised(once)) == serialised(rewrite(once))


@given(st.dictionaries(pieces, pieces | st.lists(pieces | st.floats(allow_nan=False))))
def test_json_stays_json(value: dict[str, object]):
    def within(one: object) -> object:
        return [replaced(x) for x in one] if isinstance(one, list) else replaced(one)

    expected = {replaced(key): within(one) for key, one in value.items()}
    assert json.loads(rewrite(json.dumps(value))) == expected


@given(st.text())
def test_without_the_address_nothing_changes(text: str):
    assert rewrite(text) == text
