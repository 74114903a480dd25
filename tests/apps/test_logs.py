"""Every line is kept with its time, for a while, and never more than its share of the disk."""

from __future__ import annotations

import re
from pathlib import Path

from apps_support import Slots, get, until

from gitdeploy.domain.app import Check
from gitdeploy.runtime.apps import reading
from gitdeploy.runtime.apps.logs import Log


def test_lines_of_both_outputs_carry_time_and_slot(slots: Slots) -> None:
    app = slots.start(None, worker="echo one; echo two >&2; printf 'three, unfinished'; exec sleep 3608")
    slots.driver.wait_healthy(app, Check())
    until(lambda: "two" in slots.log(app, "worker.1"))
    slots.driver.drain(app)
    lines = slots.driver.tail(app, "worker.1")
    assert [line.split(" | ")[1] for line in lines] == ["one", "two", "three, unfinished"]
    assert all(
        re.fullmatch(rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z {app.slot} \| .*", line) for line in lines
    )


def test_an_app_may_open_its_output_by_name(slots: Slots) -> None:
    app = slots.start(None, worker="echo by name >/dev/stdout; exec sleep 3609")
    until(lambda: "| by name" in slots.log(app, "worker.1"))


def test_what_is_no_text_and_has_no_end_of_line_is_kept_too(slots: Slots) -> None:
    app = slots.healthy()
    get(app, "/say/100000")
    until(
        lambda: sum(len(line.split(" | ")[1]) for line in slots.driver.tail(app, "web.1", 50)[1:]) >= 100_000
    )
    assert max(map(len, slots.driver.tail(app, "web.1", 50))) < 100_000


def test_two_slots_write_the_same_log_in_whole_lines(slots: Slots) -> None:
    one, other = (
        slots.start(None, worker=f"for n in $(seq 2000); do echo {word * 50}; done; exec sleep 3610")
        for word in ("a", "b")
    )
    until(lambda: len(slots.driver.tail(one, "worker.1", 5000)) == 4000)
    said = {
        slot.slot: reading.said(slots.driver.tail(one, "worker.1", 5000), slot.slot) for slot in (one, other)
    }
    assert said == {one.slot: ["a" * 50] * 2000, other.slot: ["b" * 50] * 2000}


def test_rotation_keeps_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "web.1.log"
    one, other = Log(path, largest=1000), Log(path, largest=1000)
    for number in range(300):
        (one, other)[number % 2].append(f"{number:09d}\n".encode())
    one.close()
    other.close()
    names = sorted(file.name for file in tmp_path.iterdir())
    assert (
        names == ["web.1.log", *(f"web.1.log.{number}" for number in range(1, 5))][-len(names) :]
        or len(names) >= 3
    )
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) == 3000
    assert [int(line) for line in reading.tail(path, 250)] == list(range(50, 300))
    for number in range(300, 2000):
        one.append(f"{number:09d}\n".encode())
    one.close()
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 5000
    assert int(reading.tail(path, 1)[0]) == 1999
    assert reading.tail(tmp_path / "none.log", 5) == []
