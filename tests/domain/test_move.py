"""What would come of a move: files compared three ways, everything told by group."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitdeploy.domain.content import RowChange
from gitdeploy.domain.file_change import FileChange, compare, in_the_way
from gitdeploy.domain.move import Chosen, Move, Report, categories

TREES = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("123"))


def test_who_changed_a_file_decides():
    source = {"same": "1", "mine": "2", "new": "1", "theirs": "1", "both": "2", "gone here": "1"}
    target = {"same": "1", "mine": "1", "theirs": "2", "both": "3", "went": "1", "their own": "1"}
    base = {"same": "1", "mine": "1", "theirs": "1", "both": "1", "went": "1", "gone here": "1"}
    assert compare(source, target, base) == FileChange(
        added=("new",), changed=("both", "mine"), removed=("went",), conflicts=("both",),
        kept=("gone here", "their own", "theirs"),
    )  # fmt: skip


def test_without_a_base_all_that_would_be_lost_is_a_conflict():
    found = compare({"a": "1", "b": "2"}, {"b": "1", "c": "1"}, None)
    assert found == FileChange(("a",), ("b",), ("c",), ("b", "c"))


@given(TREES, TREES, TREES)
def test_a_move_done_twice_does_nothing(source, target, base):
    first = compare(source, target, base)
    after = {path: one for path, one in target.items() if path not in first.removed}
    after |= {path: source[path] for path in first.coming}
    # What both sides agree on then is what the source has.
    again = compare(source, after, source)
    assert again.is_empty and set(again.kept) == set(first.kept)
    lost = {path for path in target if target[path] != after.get(path) and target[path] != base.get(path)}
    assert lost <= set(first.conflicts)


@pytest.mark.parametrize(
    ("coming", "staying", "way"),
    [(("a/b",), {"a"}, "a"), (("a",), {"a/b"}, "a/b"), (("a", "a-b"), {"b"}, ""), (("a",), {"a", "ab"}, "")],
)
def test_a_file_cannot_be_where_a_folder_stays(coming, staying, way):
    assert in_the_way(coming, staying) == way


def test_every_table_and_file_is_told_once_in_the_first_group_that_names_it():
    rows = {"posts": RowChange(1, 2, 3), "authors": RowChange(), "menus": RowChange(0, 1)}
    files = FileChange(("blog/a", "x"), ("blog/b",), conflicts=("blog/b",))
    found = categories(
        {"blog": ("posts", "authors", "blog/**"), "all": ("**",), "none": ("nothing",)}, rows, files
    )
    assert [(one.name, [*one.tables], one.files.coming) for one in found] == [
        ("blog", ["posts", "authors"], ("blog/a", "blog/b")), ("all", ["menus"], ("x",)),
    ]  # fmt: skip
    assert found[0].line() == "blog: posts 1 added, 2 changed, 3 removed; files 1 added, 1 changed"
    assert [one.name for one in categories({}, rows, files)] == ["other tables", "files"]
    report = Report(found, withheld=("sessions",), refers={"posts": ("users",)})
    assert report.count("added") == (1, 2) and report.conflicts == ("blog/b",)
    lines = list(report.lines("production"))
    assert "  + blog/a" in lines and "withheld by [content] never: sessions" in lines
    assert "changed in production too: blog/b" in lines
    assert report.as_json()["groups"][0]["files"]["paths"]["changed"] == ["blog/b"]


def test_parts_may_be_said_by_a_word():
    assert Chosen.of(False, False, (), False) == Chosen()
    assert Chosen.of(False, False, ("files", "blog"), False) == Chosen(False, True, ("blog",))
    asked = Chosen.of(True, False, ("table:a", "table:a"), True)
    assert asked == Chosen(True, False, ("table:a",), True)
    assert Move("", "", "", "", "", "", asked.as_json(), "", "").asked == asked
