"""What a pushed ref asks for, whatever prefix the client gave it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitdeploy.domain.refs import (
    ORDERS,
    RESERVED,
    ZERO,
    Branches,
    Built,
    Denied,
    Gated,
    Order,
    Tag,
    Update,
    meaning,
)

A, B = "a" * 40, "b" * 40
BRANCHES = Branches({"production": "main", "staging": "stage", "qa": "qa"}, frozenset({"production", "qa"}))


def said(ref: str, *, old: str = ZERO, new: str = A):
    return meaning(Update(old, new, ref), BRANCHES)


@pytest.mark.parametrize("verb", ORDERS)
@pytest.mark.parametrize("prefix", ["refs/heads/", "refs/tags/", "refs/"])
def test_a_command_means_the_same_under_every_prefix(verb, prefix):
    assert said(f"{prefix}{verb}/feature/checkout") == Order(verb, "feature/checkout")


@pytest.mark.parametrize("verb", ORDERS)
@pytest.mark.parametrize("prefix", ["refs/heads/", "refs/tags/", "refs/"])
def test_a_command_without_a_target_says_how_to_push_one(verb, prefix):
    denied = said(prefix + verb)
    assert isinstance(denied, Denied)
    assert "needs a target" in denied.reason.message
    assert f"HEAD:{verb}/" in denied.reason.hint


@pytest.mark.parametrize("prefix", ["refs/heads/", "refs/tags/", "refs/"])
def test_a_command_is_not_deleted(prefix):
    assert isinstance(said(f"{prefix}rollback/r1", old=A, new=ZERO), Denied)


@pytest.mark.parametrize("word", RESERVED)
@pytest.mark.parametrize("prefix", ["refs/heads/", "refs/tags/", "refs/"])
@pytest.mark.parametrize("rest", ["", "/x"])
def test_reserved_words_are_no_branches(word, prefix, rest):
    assert isinstance(said(prefix + word + rest), Denied)


@pytest.mark.parametrize(
    "ref",
    ["refs/live/production", "refs/releases/r1", "refs/notes/deploys", "refs/remotes/origin/main", "refs/stash",
     "refs/pull/1/head", "refs/changes/01/1/1", "HEAD"],
)  # fmt: skip
def test_what_is_neither_branch_tag_nor_command_is_refused_with_a_next_step(ref):
    denied = said(ref)
    assert isinstance(denied, Denied)
    assert denied.reason.hint


def test_branches_and_tags():
    assert said("refs/heads/main") == Gated("production", "main")
    assert said("refs/heads/qa") == Gated("qa", "qa")
    assert said("refs/heads/stage") == Built("stage", "staging")
    assert said("refs/heads/feature/x") == Built("feature/x", None)
    assert said("refs/tags/v1") == Tag("v1")
    assert said("refs/tags/main") == Tag("main")


@pytest.mark.parametrize(
    "branch", ["rollbacks", "rollbackx/r1", "my/rollback/r1", "promoted/x", "lively", "pins/1"]
)
def test_a_name_that_only_resembles_a_command_is_a_branch(branch):
    assert said(f"refs/heads/{branch}") == Built(branch, None)


def test_a_new_twin_of_the_production_branch_is_refused_and_an_old_one_may_go():
    assert isinstance(said("refs/heads/Main"), Denied)
    assert said("refs/heads/Main", old=A, new=ZERO) == Built("Main", None)


@given(st.text(max_size=60), st.sampled_from([ZERO, A]), st.sampled_from([ZERO, B]))
def test_every_ref_has_a_meaning(rest, old, new):
    for prefix in ("refs/", "refs/heads/", "refs/tags/", ""):
        assert isinstance(said(prefix + rest, old=old, new=new), Gated | Built | Tag | Order | Denied)
