"""Which commits are taken back."""

from __future__ import annotations

from gitdeploy.domain.revert import reverted

A, B, C = "a" * 40, "b" * 40, "c" * 40


def test_git_says_which_commit_a_revert_takes_back():
    assert reverted({B: f'Revert "x"\n\nThis reverts commit {A}.\n'}) == {A}
    assert reverted({B: f"Revert a merge\n\nThis reverts commit {A}, reversing\nchanges made to {C}."}) == {A}
    assert reverted({B: f"This reverts commit {A[:12]}."}) == frozenset()


def test_a_reverted_revert_takes_back_nothing():
    assert A not in reverted({C: f"This reverts commit {B}.", B: f"This reverts commit {A}."})
