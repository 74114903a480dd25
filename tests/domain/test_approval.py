from __future__ import annotations

from dataclasses import replace

import pytest

from gitdeploy.domain.approval import Approval, Vote, sentence
from gitdeploy.errors import Busy, Refused

ROW = Approval(
    "apr_1", "blog", "production", "9ffc9a1" + "0" * 33, "sha256:1", "bld_1", "New header", "maya",
    '["dora", "maya"]', "2026-11-20T10:00:00.000Z",
)  # fmt: skip


def vote(name: str) -> Vote:
    return Vote(name, "2026-11-20T11:00:00.000Z")


@pytest.mark.parametrize(
    ("name", "said"), [("maya", "maya asked for apr_1"), ("dora", "dora pushed what is")]
)
def test_nobody_approves_their_own_work(name, said):
    with pytest.raises(Refused) as refused:
        ROW.with_vote(vote(name))
    assert said in refused.value.message


def test_everybody_has_one_vote_and_none_when_it_is_over():
    row = replace(ROW, votes=ROW.with_vote(vote("olga")))
    assert row.cast == (vote("olga"),)
    with pytest.raises(Busy):
        row.with_vote(vote("olga"))
    assert [one.actor for one in replace(row, votes=row.with_vote(vote("otto"))).cast] == ["olga", "otto"]
    for state in ("used", "rejected"):
        with pytest.raises(Busy, match=f"{state} by olga: too early"):
            replace(row, state=state, ended_by="olga", reason="too early").with_vote(vote("otto"))


def test_what_is_missing_is_one_sentence():
    assert sentence(ROW, 1, []) == ('production of blog needs 1 approval of 9ffc9a1 "New header": apr_1.')
    assert "needs 2 approvals of" in sentence(ROW, 2, [vote("olga")])
    assert "and has that of olga: apr_1." in sentence(ROW, 2, [vote("olga")])
