"""What moves: all, or what is named; never what may not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitdeploy.domain.content import ForeignKey, Rewriting, check_columns, choose, parents_first
from gitdeploy.domain.globs import matches
from gitdeploy.domain.schema import Column, Table
from gitdeploy.errors import Invalid, Refused

TABLES = {
    name: Table(name, (Column("id", "int"),), ("id",), {}, refers)
    for name, refers in {
        "posts": ("authors", "posts"), "authors": (), "sessions": (), "form_submissions": ("forms",), "forms": (),
        "analytics_days": (),
    }.items()
}  # fmt: skip
PATHS = ("uploads/blog/a.png", "uploads/shop/b.png", "cache/x", "index.db")
NEVER = ("form_submissions", "analytics_*", "sessions", "cache/**")
GROUPS = {"blog": ("posts", "uploads/blog/**"), "all": ("*", "**")}


def test_all_but_what_never_moves():
    found = choose(NEVER, GROUPS, (), TABLES, PATHS)
    assert found.tables == ("authors", "forms", "posts")
    assert found.paths == ("index.db", "uploads/blog/a.png", "uploads/shop/b.png")
    assert found.withheld == ("analytics_days", "form_submissions", "sessions", "cache/x")
    assert found.missing == {}


def test_a_group_names_tables_and_paths_and_what_they_refer_to_is_told():
    found = choose(NEVER, GROUPS, ("blog",), TABLES, PATHS)
    assert (found.tables, found.paths) == (("posts",), ("uploads/blog/a.png",))
    assert found.missing == {"posts": ("authors",)}


def test_tables_and_paths_by_name():
    found = choose(NEVER, GROUPS, ("table:auth*", "uploads/shop/**"), TABLES, PATHS)
    assert (found.tables, found.paths) == (("authors",), ("uploads/shop/b.png",))


@given(st.lists(st.sampled_from(["blog", "all", "table:*", "table:sessions", "**", "cache/**", "*"])))
def test_never_always_wins(only: list[str]):
    found = choose(NEVER, GROUPS, only, TABLES, PATHS)
    assert not [one for one in (*found.tables, *found.paths) for no in NEVER if matches(no, one)]


@pytest.mark.parametrize(
    ("only", "hint"),
    [
        ("blgo", "mean blog"),
        ("posts", "mean table:posts"),
        ("table:post", "mean table:posts"),
        ("☃", "There is:"),
    ],
)
def test_an_unknown_name_gets_the_nearest_one(only: str, hint: str):
    with pytest.raises(Invalid, match="no group, table or path") as refused:
        choose(NEVER, GROUPS, (only,), TABLES, PATHS)
    assert hint in refused.value.hint


@pytest.mark.parametrize(
    ("source", "target", "named"),
    [
        (Table("t", (Column("a", "int"),)), Table("t", (Column("a", "text"),)), "t.a is int on one side and text"),
        (Table("t", (Column("a", "int"), Column("b", "int"))), Table("t", (Column("a", "int"),)), "t.b is only on"),
        (Table("t", (Column("a", "int"),), ("a",)), Table("t", (Column("a", "int"),)), "primary key of t"),
    ],
)  # fmt: skip
def test_tables_that_differ_are_refused(source: Table, target: Table, named: str):
    with pytest.raises(Refused, match=named):
        check_columns({"t": source}, {"t": target}, ["t"])
    with pytest.raises(Refused, match="table t is only on one side"):
        check_columns({"t": source}, {}, ["t"])


def test_parents_come_first_and_circles_do_no_harm():
    keys = [ForeignKey("k", child, ("x",), parent, ("id",)) for child, parent in
            (("a", "b"), ("b", "c"), ("c", "c"), ("d", "e"), ("e", "d"))]  # fmt: skip
    assert parents_first("abcde", keys) == ["c", "b", "a", "e", "d"]


def test_columns_are_named_by_patterns():
    rewriting = Rewriting({"a": "b"}, ("posts.*",), {"*.email": "email"}, b"secret", ("users.email",))
    assert rewriting.replaces("posts.body") and not rewriting.replaces("users.name")
    assert rewriting.masks("users.email") == "email" and rewriting.masks("users.name") == ""
    assert rewriting.keeps("users.email") and "secret" not in repr(rewriting)
