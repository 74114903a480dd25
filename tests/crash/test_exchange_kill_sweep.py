"""kill -9 while visitors are held: they are answered, and all is old or all is new."""

from __future__ import annotations

from pathlib import Path

import pytest
from crash_ground import Mortal
from eras import Eras, Visitors
from support import eventually

AFTER = "Exchange.swap"
SHORT = ("driver.scale", "RefTransaction.commit")
"""The databases have changed places and the pointer has not moved; it has, and nothing is written down."""
OLD, NEW = "one second second", "one first first"


@pytest.fixture
def machine(postgres):
    one = Mortal(settings=f'[databases]\npostgres = "{postgres}"\n')
    one.start()
    yield one
    one.destroy()


@pytest.mark.parametrize("at", [SHORT, pytest.param((), marks=pytest.mark.soak)], ids=["short", "all"])
def test_a_restore_is_killed_while_visitors_wait(
    machine: Mortal, tmp_path: Path, at: tuple[str, ...]
) -> None:
    """At the first of each kind in `at` after the databases have changed places, or of every kind."""
    eras = Eras(machine, tmp_path, "postgres", patient=True)
    name = eras.take()
    if not at:
        machine.die_at(1_000_000)
        eras.restore(name)
        labels = [one.partition(" ")[2] for one in machine.steps()]
        labels = labels[labels.index(AFTER) :]
        at = tuple(dict.fromkeys(labels[: labels.index("Hold.release") + 1]))
        machine.kill_daemon()
    with Visitors(eras) as visitors:
        for label in at:
            eras.post("/era/second")
            machine.die_at(label if label == AFTER else f"{AFTER} then {label}")
            eras.server.cli("snapshot", "restore", eras.site, name, "--yes", check=False)
            assert machine.died(), label
            page = eras.page()
            assert page in (OLD, NEW), (label, page)
            assert len(set(_told(eras)) & {page}) == 1
            seen = len(visitors.seen[0])
            eventually(lambda: len(visitors.seen[0]) > seen + 3)  # noqa: B023
            count = eras.page("/work")
            eventually(lambda: eras.page("/work") != count, why="no worker works")  # noqa: B023
            assert not visitors.failed, (label, visitors.failed[:3])
    assert {said for one in visitors.seen for said in one} == {OLD, NEW}
    assert visitors.longest < 15
    eventually(lambda: len(eras.databases()) == 1, why=str(eras.databases()))


def _told(eras: Eras) -> list[str]:
    """What a visitor has to get, by the ledger."""
    live = eras.server.facts("live", eras.site)
    return [NEW, OLD] if live["kind"] == "restore" else [OLD]
