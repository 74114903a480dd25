"""Names of files as they are written down."""

from __future__ import annotations

import pytest

from gitdeploy.domain.tree_path import all_quoted, quote


@pytest.mark.parametrize(
    "names",
    [[], [b"b", b"a-1", b"a", b"a.b", b"B"], [b"a b", b"a", b"a!", b"\xff", b"a%20b", "é".encode(), b"a\nb"]],
)
def test_names_are_quoted_together_as_one_by_one(names: list[bytes]):
    assert all_quoted(names) == sorted((quote(name), name) for name in names)
