"""Running apps where systemd runs: the tests of tests/apps, run in such a machine, as root and as another user."""

from __future__ import annotations

import sys

import pytest
from systemd_machine import PROJECT, Machine

UNBOUNDED = [  # the container has no controller to bound memory or processes with
    "test_confined.py::test_want_of_memory_ends_the_program_that_wants_it_and_nothing_else",
    "test_confined.py::test_processes_are_bounded",
]
OF_ROOT = [  # they mount, or leave behind what only root can remove
    "test_outlives.py::test_a_full_disk_ends_nothing_that_runs",
    "test_confined.py::test_an_app_writes_into_its_own_folders_and_nowhere_else",
]
CHOSEN = [
    "in_a_unit.py",
    "test_confined.py::test_a_secret_is_in_no_argument_list_and_no_file",
    "test_confined.py::test_an_app_runs_as_a_user_without_rights",
    "test_hold.py::test_those_who_wait_and_those_who_still_come_are_answered_by_the_other_slot",
    "test_outlives.py::test_a_slot_outlives_its_starter",
    "test_outlives.py::test_a_new_keeper_takes_over_what_a_killed_one_left",
    "test_outlives.py::test_the_only_program_that_was_taken_over_is_started_again_when_it_ends",
    "test_outlives.py::test_what_a_killed_keeper_could_not_write_down_is_ended",
    "test_outlives.py::test_a_slot_with_neither_keeper_nor_record_can_be_drained",
]


@pytest.mark.parametrize("user", ["", pytest.param("ana", marks=pytest.mark.soak)], ids=["root", "user"])
def test_the_contract_of_running_apps_holds_in_units(machine: Machine, user: str) -> None:
    run(machine, user, CHOSEN)


def test_where_users_may_have_no_namespaces_an_app_is_a_unit_all_the_same(machine: Machine) -> None:
    code = (
        "from gitdeploy.runtime.apps import unit as u; m = u.manager(); print(m.kind, m.confined, m.why_not)"
    )
    assert python(machine, "bob", "-c", code) == "user False bob may make no namespaces (exit code 217)\n"
    run(machine, "bob", ["in_a_unit.py::test_a_slot_is_a_unit_of_its_own_and_leaves_none_behind"])


def test_where_no_systemd_can_be_asked_an_app_runs_without(machine: Machine) -> None:
    code = "from gitdeploy.runtime.apps import unit as u; m = u.manager(); print(m.kind, m.why_not)"
    said = "none the systemd of eva ends when eva logs out\n"
    assert python(machine, "eva", "-c", code) == said
    run(machine, "eva", ["test_outlives.py::test_a_slot_outlives_its_starter"])


@pytest.mark.soak
@pytest.mark.parametrize("user", ["", pytest.param("ana", marks=pytest.mark.soak)], ids=["root", "user"])
def test_the_whole_contract_of_running_apps_holds_in_units(machine: Machine, user: str) -> None:
    left = [f"--deselect=tests/apps/{one}" for one in [*UNBOUNDED, *(OF_ROOT if user else [])]]
    run(machine, user, ["", "in_a_unit.py"], "-m", "soak or not soak", *left)


def run(machine: Machine, user: str, what: list[str], *options: str) -> None:
    words = ["-q", "-p", "no:cacheprovider", "--tb=short", *options, *(f"tests/apps/{one}" for one in what)]
    python(machine, user, "-m", "pytest", *words)


def python(machine: Machine, user: str, *words: str) -> str:
    line = 'cd "$0" && exec "$@"'
    done = machine.run("sh", "-c", line, str(PROJECT), sys.executable, *words, user=user)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:] + machine.journal()
    return done.stdout
