"""Whoever started a slot may be killed, the keeper may be killed, the machine may be: nothing is lost or left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from apps_support import WEB, Slots, alive, get, keeper_of, until

from gitdeploy.domain.app import Check, Program
from gitdeploy.errors import Failed
from gitdeploy.runtime.apps.place import App


def kill_keeper(app: App) -> None:
    pid = keeper_of(app)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid))


def test_a_slot_outlives_its_starter(slots: Slots) -> None:
    layout = slots.layout()
    starter = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("starter.py")), str(slots.home.root), "r1", str(layout)],
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        start_new_session=True,
    )  # fmt: skip
    assert starter.stdout and starter.stdout.readline() == b"started\n"
    app = App(slots.home, "blog", "production", "r1")
    slots.started.append(app)
    slots.driver.wait_healthy(app, Check())
    before = slots.pids(app)
    os.killpg(starter.pid, signal.SIGKILL)
    with starter.stdout:
        starter.wait()
    assert get(app) == (200, f"r1 {slots.ports(app)[0]}")
    assert list(slots.driver.running(slots.home)) == [app]
    assert slots.start(slot="r1", layout=layout) == app
    assert slots.pids(app) == before
    slots.driver.scale(app, {"web": 2})
    slots.driver.drain(app)
    assert not alive(before[0])


def test_a_new_keeper_takes_over_what_a_killed_one_left(slots: Slots) -> None:
    layout = slots.layout()
    app = slots.healthy(slot="r1", layout=layout, worker="while true; do echo at work; sleep 0.1; done")
    before, ports = slots.pids(app), slots.ports(app)
    kill_keeper(app)
    assert slots.driver.status(app).state == "lost"
    assert all(alive(pid) for pid in before)
    assert list(slots.driver.running(slots.home)) == [app] and not slots.driver.is_running(app)
    slots.start(slot="r1", layout=layout, worker="while true; do echo at work; sleep 0.1; done")
    slots.driver.wait_healthy(app, Check())
    assert slots.pids(app) == before and get(app) == (200, f"r1 {ports[0]}")
    assert "* web.1 is running, and taken over" in slots.log(app)
    lines = len(slots.log(app, "worker.1"))
    until(lambda: len(slots.log(app, "worker.1")) > lines)
    os.kill(before[0], signal.SIGKILL)
    until(lambda: slots.pids(app, "web") not in ([], before[:1]))
    assert get(app)[0] == 200
    slots.driver.drain(app)
    assert not any(alive(pid) for pid in before)


def test_the_only_program_that_was_taken_over_is_started_again_when_it_ends(slots: Slots) -> None:
    layout = slots.layout()
    app = slots.healthy(slot="r1", layout=layout)
    kill_keeper(app)
    slots.start(slot="r1", layout=layout)
    slots.driver.wait_healthy(app, Check())
    before = slots.pids(app)
    os.kill(before[0], signal.SIGKILL)
    until(lambda: slots.pids(app) not in ([], before))
    slots.driver.wait_healthy(app, Check())
    assert [one.restarts for one in slots.driver.status(app).copies] == [1]


def test_what_a_killed_keeper_could_not_write_down_is_ended(slots: Slots) -> None:
    layout = slots.layout()
    app = slots.healthy(slot="r1", layout=layout)
    before = slots.pids(app)
    kill_keeper(app)
    (app.folder / "state.json").write_text("{}")
    slots.start(slot="r1", layout=layout)
    slots.driver.wait_healthy(app, Check())
    assert not alive(before[0]) and slots.pids(app) != before


def test_programs_that_are_no_longer_wanted_are_not_taken_over(slots: Slots) -> None:
    layout = slots.layout()
    app = slots.healthy(slot="r1", layout=layout, worker="exec sleep 3604")
    worker = slots.pids(app, "worker")[0]
    kill_keeper(app)
    slots.start(slot="r1", layout=layout)
    assert not alive(worker)


def test_a_slot_without_its_keeper_can_be_drained(slots: Slots) -> None:
    app = slots.healthy(worker=Program("trap 'echo finished; exit' TERM; while :; do sleep 0.05; done"))
    before = slots.pids(app)
    kill_keeper(app)
    slots.driver.drain(app)
    assert not any(alive(pid) for pid in before)
    assert slots.driver.status(app).state == "retired"


def test_a_keeper_killed_while_it_drains_is_finished_by_the_next_drain(slots: Slots) -> None:
    app = slots.healthy(Program(f"{WEB} stubborn", stop_timeout=60))
    pid = slots.pids(app)[0]
    slots.driver.drain(app, wait=False)
    until(lambda: "stopping" in (app.folder / "state.json").read_text())
    kill_keeper(app)
    assert alive(pid)
    slots.driver.drain(app)
    assert not alive(pid)


def test_after_a_reboot_no_pid_is_believed(slots: Slots) -> None:
    """The record names processes of another boot; the pids in it belong to somebody else by now."""
    layout = slots.layout()
    app = slots.healthy(slot="r1", layout=layout)
    slots.driver.drain(app)
    bystander = subprocess.Popen(["sleep", "3605"])
    stat = Path(f"/proc/{bystander.pid}/stat").read_text().rpartition(")")[2].split()
    born = f"00000000-0000-0000-0000-000000000000/{stat[19]}"
    record = json.loads((app.folder / "state.json").read_text())
    record |= {
        "state": "running",
        "keeper": {"name": "keeper", "pid": bystander.pid, "born": born, "runs": ""},
    }
    copy = {"name": "web.1", "state": "running", "pid": bystander.pid, "born": born, "port": 20001, "since": 1.0,
            "restarts": 0, "last": "", "groups": ["/sys/fs/cgroup/pids/gone"]}  # fmt: skip
    (app.folder / "state.json").write_text(json.dumps({**record, "copies": [copy]}))
    (app.folder / "own").mkdir()
    assert slots.driver.status(app).state == "lost"
    slots.start(slot="r1", layout=layout)
    slots.driver.wait_healthy(app, Check())
    assert bystander.poll() is None and slots.pids(app) != [bystander.pid]
    bystander.kill()
    bystander.wait()


def test_an_app_that_cannot_be_reached_is_refused(slots: Slots) -> None:
    if os.geteuid() == 0:
        slots.home.root.chmod(0o700)
        with pytest.raises(Failed, match="who runs apps, may not enter"):
            slots.start()
    assert list(slots.driver.running(slots.home)) == []


def test_a_full_disk_ends_nothing_that_runs(slots: Slots) -> None:
    """The record and the logs cannot be written any more; what is served is served on."""
    app = slots.start()
    slots.driver.wait_healthy(app, Check())
    small = app.folder.parent / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(small)], check=True)
    try:
        (small / "filler").write_bytes(b"x" * 4096)
        (slots.home.logs / "apps/blog/production").rename(app.folder.parent / "old")
        (slots.home.logs / "apps/blog/production").symlink_to(small)
        get(app, "/say/100000")
        (app.folder / ".state.json").mkdir()  # where the next record would be written
        first = slots.programs(app)[0]
        os.kill(first, signal.SIGKILL)
        until(lambda: not alive(first))
        assert get(app)[0] == 200
    finally:
        (slots.home.logs / "apps/blog/production").unlink()
        (app.folder.parent / "old").rename(slots.home.logs / "apps/blog/production")
        (app.folder / ".state.json").rmdir()
        slots.driver.drain(app)
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_slot_with_neither_keeper_nor_record_can_be_drained(slots: Slots) -> None:
    app = slots.healthy()
    before = slots.pids(app)
    kill_keeper(app)
    (app.folder / "state.json").write_text("torn")
    slots.driver.drain(app)
    assert not alive(before[0])
