"""A slot that was left finishes what it is at, and then nothing of it remains."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import threading
from pathlib import Path

import pytest
from apps_support import WEB, Slots, alive, dial, get, keeper_of, until

from gitdeploy.domain.app import Check, Program
from gitdeploy.errors import Busy
from gitdeploy.runtime.apps.place import App

UPGRADE = b"GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n"


def in_thread(target):
    found = []

    def work():
        try:
            found.append(target())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, found


def read_all(connection: socket.socket) -> bytes:
    data = b""
    while part := connection.recv(1 << 16):
        data += part
    return data


def test_a_request_under_way_is_finished(slots: Slots) -> None:
    app = slots.healthy()
    pid, port = slots.pids(app)[0], slots.ports(app)[0]
    thread, found = in_thread(lambda: get(app, "/slow/3"))
    until(lambda: "slow begins" in slots.log(app))
    slots.driver.drain(app)
    thread.join()
    assert found == [(200, f"slow from {port}")]
    assert not alive(pid)


def test_a_stream_and_a_websocket_are_finished_too(slots: Slots) -> None:
    app = slots.healthy()
    thread, found = in_thread(lambda: get(app, "/stream/2"))
    chat = dial(app)
    chat.sendall(UPGRADE)
    assert chat.recv(1000).startswith(b"HTTP/1.1 101")
    slots.driver.drain(app, wait=False)
    until(lambda: slots.driver.status(app).state == "draining")
    until(lambda: not (app.folder / "web.sock").exists())
    chat.sendall(b"still there?")
    assert chat.recv(1000) == b"still there?"
    chat.close()
    thread.join()
    assert found[0][1].endswith("tick\nend\n")
    until(lambda: slots.driver.status(app).state == "retired")


def test_a_websocket_that_stays_is_ended_after_its_time(slots: Slots) -> None:
    app = slots.healthy(Program(WEB, stop_timeout=1))
    with dial(app) as chat:
        chat.sendall(UPGRADE)
        assert chat.recv(1000).startswith(b"HTTP/1.1 101")
        slots.driver.drain(app)
        assert chat.recv(1000) == b""


def test_who_is_on_the_way_to_a_slot_that_is_left_still_arrives(slots: Slots) -> None:
    """An edge that looked up the slot before the switch may connect after it."""
    app = slots.healthy()
    slots.driver.drain(app, wait=False)
    until(lambda: slots.driver.status(app).state == "draining")
    assert get(app)[0] == 200


def test_a_program_is_asked_first_and_killed_when_it_does_not_listen(slots: Slots) -> None:
    app = slots.healthy(Program(f"{WEB} stubborn", stop_timeout=1))
    pid = slots.pids(app)[0]
    slots.driver.drain(app)
    assert not alive(pid)
    assert "* web.1 did not end within 1 s: killed" in slots.log(app)


def test_a_program_has_its_time_even_behind_a_shell(slots: Slots) -> None:
    """The shell ends at once when it is told to; what it started is still at work."""
    line = "trap 'sleep 1; echo finished' TERM; sleep 3603 & wait; wait"
    app = slots.start(None, worker=Program(f'sh -c "{line}"; true', stop_timeout=20))
    slots.driver.wait_healthy(app, Check(uptime=0.3))
    slots.driver.drain(app)
    assert "| finished" in slots.log(app, "worker.1")


def test_of_an_app_that_forks_nothing_is_left(slots: Slots) -> None:
    app = slots.healthy()
    get(app, "/fork/20")
    sleepers = [pid for pid in processes() if is_sleeper(pid, app)]
    assert len(sleepers) == 20
    keeper = keeper_of(app)
    slots.driver.drain(app)
    assert not [pid for pid in (*sleepers, keeper) if alive(pid)]
    assert sorted(one.name for one in app.folder.iterdir()) == sorted(
        [f"at:blog:production:{app.slot}:app", "root", "state.json"]
    )
    assert not groups_of(app)


def test_what_a_program_left_running_ends_before_it_is_started_again(slots: Slots) -> None:
    line = "trap '' TERM; setsid sleep 3601 & echo started; sleep 0.2; exit 1"
    app = slots.start(None, worker=Program(line, stop_timeout=1))
    until(lambda: slots.log(app, "worker.1").count("| started") >= 3)
    assert len([pid for pid in processes() if is_sleeper(pid, app)]) <= 1
    slots.driver.drain(app)
    assert not [pid for pid in processes() if is_sleeper(pid, app)]


def test_a_draining_slot_is_not_started(slots: Slots) -> None:
    layout = slots.layout()
    app = slots.healthy(slot="going", layout=layout)
    thread, _ = in_thread(lambda: get(app, "/slow/1"))
    until(lambda: "slow begins" in slots.log(app))
    slots.driver.drain(app, wait=False)
    until(lambda: slots.driver.status(app).state == "draining")
    with pytest.raises(Busy, match="being retired"):
        slots.start(slot="going", layout=layout)
    thread.join()


def test_draining_twice_and_what_is_gone_is_fine(slots: Slots) -> None:
    app = slots.healthy()
    slots.driver.drain(app)
    slots.driver.drain(app)


@pytest.mark.soak
def test_fifty_releases_later_nothing_has_piled_up(slots: Slots) -> None:
    layout = slots.layout()
    for number in range(50):
        app = slots.healthy(slot=f"n{number}", layout=layout)
        slots.driver.drain(app, wait=False)
    for one in slots.started:
        until(lambda one=one: slots.driver.status(one).state == "retired")
    home = os.fsencode(slots.home.root)
    until(lambda: not [pid for pid in processes() if home in cmdline(pid)])
    assert not [group for one in slots.started for group in groups_of(one)]
    assert home not in Path("/proc/net/unix").read_bytes()
    left = [entry for one in slots.started for entry in one.folder.rglob("*")]
    assert not [one for one in left if one.is_socket() or one.is_fifo()]


def test_a_slot_that_is_taken_away_ends_by_itself(slots: Slots) -> None:
    app = slots.healthy()
    pids = [*slots.pids(app), keeper_of(app)]
    gone = app.folder.with_name(".r1.gone")
    app.folder.rename(gone)
    shutil.rmtree(gone)
    until(lambda: not any(alive(pid) for pid in pids))


def is_sleeper(pid: int, app: App) -> bool:
    mark = f"GITDEPLOY_COPY={key_of(app)}/".encode()
    try:
        return mark in Path(f"/proc/{pid}/environ").read_bytes() and cmdline(pid).startswith(b"sleep\x003601")
    except OSError:
        return False


def groups_of(app: App) -> list[Path]:
    return [*Path("/sys/fs/cgroup").glob(f"**/gitdeploy-app-{key_of(app)}-*")]


def key_of(app: App) -> str:
    return hashlib.sha256(bytes(app.folder.resolve())).hexdigest()[:16]


def processes() -> list[int]:
    return [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()]


def cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
