"""The states of a request for a cutover, and its limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitdeploy.domain.cutover import (
    MOVES,
    NOTE_MAX,
    OPEN,
    STATES,
    TICKET_MAX,
    Cutover,
    check_limits,
    check_move,
)
from gitdeploy.errors import Busy, Invalid

LEGAL = {
    ("open", "acked"), ("open", "rejected"), ("open", "canceled"), ("acked", "in_progress"),
    ("acked", "canceled"), ("in_progress", "completed"), ("in_progress", "failed"),
}  # fmt: skip


def row(state: str) -> Cutover:
    return Cutover("cut_1", "blog", "next", state, "", "maya")


@pytest.mark.parametrize("now", STATES)
@pytest.mark.parametrize("then", STATES)
def test_only_the_moves_of_the_contract_are_legal(now, then):
    if (now, then) in LEGAL:
        check_move(row(now), then)
        return
    with pytest.raises(Busy) as refused:
        check_move(row(now), then)
    assert refused.value.hint


def test_what_is_over_never_goes_on_and_all_else_is_open():
    assert {state for state in STATES if MOVES[state]} == set(OPEN)
    assert set(STATES) == {"open", "acked", "rejected", "in_progress", "completed", "failed", "canceled"}


@given(st.lists(st.sampled_from(STATES)))
def test_an_end_is_reached_once_and_never_left(wanted):
    one = row("open")
    for state in wanted:
        over = not MOVES[one.state]
        try:
            check_move(one, state)
        except Busy:
            continue
        assert not over
        one = row(state)


def test_the_limits_are_those_of_the_contract():
    assert (NOTE_MAX, TICKET_MAX) == (1000, 120)
    check_limits("ü" * 1000, "☃" * 120)
    for note, ticket in (("x" * 1001, ""), ("", "x" * 121)):
        with pytest.raises(Invalid) as refused:
            check_limits(note, ticket)
        assert "at most" in refused.value.hint.lower()
