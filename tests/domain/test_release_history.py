"""What "previous" is, and what retention must keep."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitdeploy.domain.release import Release, previous, remarked, worth_keeping


class History:
    """Releases of one environment, made as the service makes them."""

    def __init__(self) -> None:
        self.releases: list[Release] = []

    def add(
        self, artifact: str, kind: str = "deploy", *, origin: int | None = None, served: bool = True
    ) -> Release:
        number = len(self.releases) + 1
        if served and (live := self.live) is not None:
            ended = "rolled_back" if kind == "rollback" else "superseded"
            self.change(live.number, state=ended, ended_at="then")
        made = Release(
            id=f"rel_{number}", site="blog", number=number, env="production", kind=kind,
            state="live" if served else "failed", commit="c" * 40, subject="s", build=f"bld_{artifact}",
            artifact=artifact, actor="maya", created_at="then", origin=origin or number,
            live_at="then" if served else None,
        )  # fmt: skip
        self.releases.append(made)
        return made

    def deploy(self, count: int = 1) -> None:
        for _ in range(count):
            self.add(f"a{len(self.releases) + 1}")

    def roll_back(self, number: int | None = None) -> Release | None:
        """To release `number`, or to the previous one; None when there is none."""
        goal = self[number] if number else previous(self.releases)
        return self.add(goal.artifact, "rollback", origin=goal.origin) if goal else None

    def change(self, number: int, **fields: object) -> None:
        self.releases[number - 1] = replace(self[number], **fields)

    def __getitem__(self, number: int) -> Release:
        return self.releases[number - 1]

    @property
    def live(self) -> Release | None:
        return next((one for one in self.releases if one.state == "live"), None)

    @property
    def previous(self) -> int | None:
        found = previous(self.releases)
        return found.number if found else None


@pytest.fixture
def history():
    return History()


def test_nothing_comes_before_the_first(history):
    assert history.previous is None
    history.deploy()
    assert history.previous is None


def test_rolling_back_twice_goes_back_two(history):
    history.deploy(4)
    assert history.roll_back().artifact == "a3"
    assert history.roll_back().artifact == "a2"
    assert history.roll_back().artifact == "a1"
    assert history.roll_back() is None


def test_a_second_rollback_never_lands_on_what_was_just_rejected(history):
    history.deploy(3)
    history.roll_back(1)
    assert history.previous is None
    history.deploy()
    assert history[history.previous].artifact == "a1"


def test_a_fix_on_top_of_a_rollback_has_the_good_one_before_it(history):
    history.deploy(3)
    history.roll_back()
    history.deploy()
    assert history[history.previous].artifact == "a2"


def test_going_forward_again_has_where_one_was_before_it(history):
    history.deploy(5)
    history.roll_back(1)
    history.roll_back(5)
    assert history[history.previous].artifact == "a1"


def test_what_failed_before_it_served_is_no_release_to_go_back_to(history):
    history.deploy(2)
    for number in range(20):
        history.add(f"broken{number}", served=False)
    assert history.previous == 1


def test_what_is_marked_bad_is_passed_over(history):
    history.deploy(3)
    history.change(2, mark="bad")
    assert history.previous == 1


def test_the_very_same_files_are_no_way_back(history):
    history.deploy(2)
    history.add("a2", "redeploy")
    history.add("a2", "redeploy")
    assert history.previous == 1


@given(st.integers(2, 12), st.integers(1, 15))
def test_n_rollbacks_go_back_n(deployed, times):
    history = History()
    history.deploy(deployed)
    for step in range(1, times + 1):
        made = history.roll_back()
        assert made is None if step >= deployed else made.artifact == f"a{deployed - step}"


steps = st.lists(st.sampled_from(["deploy", "fail", "previous"]) | st.integers(0, 30), max_size=25)


def played(moves: list[object]) -> tuple[History, list[str]]:
    """A history, and a plain stack of artifacts that says what must lie under what is live."""
    history, stack = History(), []
    history.deploy()
    stack.append("a1")
    for move in moves:
        if move == "deploy":
            history.deploy()
            stack.append(history.releases[-1].artifact)
        elif move == "fail":
            history.add("broken", served=False)
        elif move == "previous":
            if history.roll_back() is not None:
                stack.pop()
        else:
            served = [one for one in history.releases if one.served]
            goal = served[move % len(served)]
            history.roll_back(goal.number)
            if goal.artifact in stack:
                del stack[stack.index(goal.artifact) + 1 :]
            else:
                stack.append(goal.artifact)
    return history, stack


@given(steps)
def test_previous_is_what_lies_under_the_top_of_a_stack(moves):
    history, stack = played(moves)
    found = previous(history.releases)
    assert (found.artifact if found else None) == (stack[-2] if len(stack) > 1 else None)


@given(steps, st.randoms())
def test_neither_clocks_nor_the_order_of_asking_play_a_part(moves, chance: random.Random):
    history, _ = played(moves)
    expected = history.previous
    skewed = [replace(one, created_at=str(chance.random()), live_at=one.live_at and str(chance.random()))
              for one in history.releases]  # fmt: skip
    chance.shuffle(skewed)
    found = previous(skewed)
    assert (found.number if found else None) == expected


def test_twenty_failures_leave_five_good_releases(history):
    history.deploy(5)
    for number in range(20):
        history.add(f"broken{number}", served=False)
    assert worth_keeping(history.releases, keep=5) == {1, 2, 3, 4, 5}


def test_pinned_and_pending_stay(history):
    history.deploy(9)
    history.change(2, pinned=True)
    history.change(4, state="pending")
    assert {2, 4, 9} <= worth_keeping(history.releases, keep=1)


@given(steps, st.integers(1, 6), st.sets(st.integers(1, 30)))
def test_retention_never_drops_live_or_where_a_rollback_would_go(moves, keep, bad):
    history, _ = played(moves)
    for number in bad:
        if number <= len(history.releases) and history[number].state != "live":
            history.change(number, mark="bad")
    kept = {history[number].artifact for number in worth_keeping(history.releases, keep=keep)}
    assert history.live.artifact in kept
    found = previous(history.releases)
    assert found is None or found.artifact in kept
    good = [one.artifact for one in history.releases if one.served and one.mark != "bad"]
    assert set(good[-keep:]) <= kept


def test_a_rollback_forward_rejects_nothing(history):
    history.deploy(3)
    for number in (1, 2, 3):
        history.change(number, commit=str(number) * 40)
    back = history.roll_back(1)
    assert remarked(history.releases, back, history[3]) == {3: "bad"}
    history.change(3, mark="bad")
    forward = history.roll_back(2)
    assert remarked(history.releases, forward, back) == {}
    forward = replace(history.roll_back(3), commit=history[3].commit)
    assert remarked(history.releases, forward, history[5]) == {3: ""}


def test_a_rollback_that_changes_only_the_configuration_rejects_no_files(history):
    history.deploy(2)
    history.add("a2", "config")
    back = history.roll_back(2)
    assert remarked(history.releases, back, history[3]) == {}
