"""Visitors who are held: they wait, in their order, and nobody is turned away before the bound."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from apps_support import WEB, Slots, alive, dial, get, keeper_of, until

from gitdeploy.domain.app import Check, Program
from gitdeploy.errors import Busy
from gitdeploy.runtime.apps import asking
from gitdeploy.runtime.apps.place import App, Files
from gitdeploy.runtime.apps.reach import Address
from gitdeploy.runtime.apps.relay import Relay
from gitdeploy.runtime.apps.room import Room

UPGRADE = b"GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n"
LASTING = "sleep 3600"


class Visitors:
    """Who come one after the other and do not wait for each other."""

    def __init__(self) -> None:
        self.said: list[tuple[int, int, str]] = []
        self._threads: list[threading.Thread] = []

    def come(self, app: App, path: str = "/") -> None:
        """Returns when the connection stands."""
        number, there = len(self._threads), dial(app)
        there.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())

        def wait() -> None:
            with there:
                whole = b""
                while part := there.recv(1 << 16):
                    whole += part
            head, _, body = whole.partition(b"\r\n\r\n")
            self.said.append((number, int(head.split()[1]), body.decode()))

        self._threads.append(threading.Thread(target=wait))
        self._threads[-1].start()

    def all(self) -> list[tuple[int, int, str]]:
        for one in self._threads:
            one.join(30)
        return self.said


def held(slots: Slots, app: App, **how: object) -> asking.Hold:
    given = {"within": 20.0, "patience": 5.0, "rests": False, "turns_away": True, **how}
    return slots.driver.hold(app, **given)


def open_files(app: App) -> int:
    return len(list(Path(f"/proc/{keeper_of(app)}/fd").iterdir()))


def test_they_wait_and_are_answered(slots: Slots) -> None:
    app = slots.healthy()
    hold = held(slots, app)
    assert (hold.open, hold.jobs, slots.driver.holds(app)) == (0, (), True)
    visitors = Visitors()
    before = open_files(app)
    for _ in range(30):
        visitors.come(app)
    until(lambda: open_files(app) == before + 30)
    assert not visitors.said
    waited = hold.release()
    assert [status for _, status, _ in visitors.all()] == [200] * 30
    assert waited.visitors == 30 and waited.longest > 0 and waited.turned_away == 0
    assert get(app)[0] == 200 and not slots.driver.holds(app)


def test_they_are_let_in_in_their_order_but_for_those_who_have_gone(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    order: list[int] = []

    class Backend:
        address: Address | None = None

        def lost(self) -> None:
            raise AssertionError

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        order.append(int(await reader.readline()))
        writer.close()

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        backend, relay, room = Backend(), Relay(), Room()
        backend.address = Address(socket.AF_INET, server.sockets[0].getsockname()[1])
        relay.backends = [backend]
        relay.listen(path)
        assert await relay.hold(room, 5) == 0
        doors = [socket.socket(socket.AF_UNIX) for _ in range(50)]
        for number, one in enumerate(doors):
            one.setblocking(False)
            one.connect(str(path))
            one.send(f"{number}\n".encode())
            if number % 10 == 3:
                one.close()
        while room.visitors < 50:
            await asyncio.sleep(0.01)
        await relay.release()
        for number, one in enumerate(doors):
            if number % 10 != 3:
                assert await loop.sock_recv(one, 1) == b""
                one.close()
        await relay.close(path)
        server.close()
        await server.wait_closed()

    asyncio.run(scene())
    assert order == [number for number in range(50) if number % 10 != 3]


def test_it_is_quiet_when_what_was_under_way_has_ended(slots: Slots) -> None:
    app = slots.healthy()
    visitors = Visitors()
    visitors.come(app, "/slow/1")
    until(lambda: "slow begins" in slots.log(app))
    with dial(app) as chat:  # this may last for ever, and is not waited for
        chat.sendall(UPGRADE)
        assert chat.recv(1000).startswith(b"HTTP/1.1 101")
        hold = held(slots, app)
        assert hold.open == 0 and visitors.all()[0][1] == 200
        chat.sendall(b"hello")
        assert chat.recv(100) == b"hello"
        hold.release()
    visitors.come(app, "/slow/2")
    until(lambda: slots.log(app).count("slow begins") == 2)
    begin = time.monotonic()
    hold = held(slots, app, patience=0.2)
    assert hold.open == 1 and time.monotonic() - begin < 1.5
    hold.release()
    assert [status for _, status, _ in visitors.all()] == [200, 200]


def test_those_who_wait_and_those_who_still_come_are_answered_by_the_other_slot(slots: Slots) -> None:
    old = slots.healthy(Program(WEB, stop_timeout=1))
    hold = held(slots, old)
    visitors = Visitors()
    for _ in range(10):
        visitors.come(old)
    new = slots.healthy()
    waited = hold.release(new)
    assert {body.split()[0] for _, status, body in visitors.all() if status == 200} == {new.slot}
    assert len(visitors.said) == 10 == waited.visitors
    assert get(old)[1].split()[0] == new.slot  # who found the old one before the switch
    with dial(old) as chat:
        chat.sendall(UPGRADE)
        assert chat.recv(1000).startswith(b"HTTP/1.1 101")
        slots.driver.drain(old)  # nothing of it passes here any more
        chat.sendall(b"hello")
        assert chat.recv(100) == b"hello"


def test_whoever_cannot_be_handed_over_is_hung_up_on(slots: Slots) -> None:
    old, new = slots.healthy(), slots.healthy()
    hold = held(slots, old)
    slots.driver.drain(new)
    with dial(old) as visitor:
        visitor.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        hold.release(new)
        with pytest.raises(ConnectionResetError):  # without a word: nothing of what it asked was read
            visitor.recv(100)


def test_past_the_bound_they_are_told_so_until_they_are_released(slots: Slots) -> None:
    app = slots.healthy()
    hold = held(slots, app, within=0.3)
    status, page = get(app)
    assert (status, "being exchanged" in page) == (503, True)
    with dial(app) as visitor:
        visitor.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"\r\nRetry-After: 5\r\n" in visitor.recv(1 << 16)
    waited = hold.release()
    assert waited.turned_away == 2 and get(app)[0] == 200
    assert slots.driver.count(app)[1] == 0  # the app failed nobody


def test_where_it_is_not_worth_that_they_are_let_in_at_the_bound(slots: Slots) -> None:
    app = slots.healthy()
    hold = held(slots, app, within=0.3, turns_away=False)
    assert get(app)[0] == 200
    assert not slots.driver.holds(app)
    assert hold.release().turned_away == 0


def test_programs_that_are_no_web_rest_meanwhile(slots: Slots) -> None:
    app = slots.healthy(worker=LASTING)
    (worker,) = slots.pids(app, "worker")
    hold = held(slots, app, rests=True)
    assert not alive(worker) and slots.driver.status(app).is_well
    with pytest.raises(Busy, match="being exchanged"):
        slots.driver.run(app, "true", name="cron.1", within=5)
    with pytest.raises(Busy, match="held already"):
        held(slots, app)
    hold.release()
    slots.driver.wait_healthy(app, Check())
    assert len(slots.pids(app, "worker")) == 1
    new = slots.healthy()
    held(slots, app, rests=True).release(new)
    assert not slots.pids(app, "worker")


def test_what_is_run_once_is_told_of(slots: Slots) -> None:
    app = slots.healthy()
    job = threading.Thread(target=lambda: slots.driver.run(app, "sleep 2", name="cron.1", within=20))
    job.start()
    until(lambda: slots.driver.status(app).jobs)
    hold = held(slots, app, rests=True)
    assert hold.jobs == ("cron.1",)
    hold.release()
    job.join()


HOLDER = """
import json, socket, sys, time
door = socket.socket(socket.AF_UNIX)
door.connect(sys.argv[1])
asked = {"do": "hold", "within": 20, "patience": 5, "rests": True, "turns_away": True}
door.sendall(json.dumps(asked).encode() + b"\\n")
print(door.recv(1000).decode(), end="", flush=True)
time.sleep(60)
"""


def killed_holder(app: App) -> None:
    """Somebody holds the visitors, and dies."""
    words = [sys.executable, "-c", HOLDER, str(Files(app.folder).control)]
    holder = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert json.loads(holder.stdout.readline()) == {"open": 0, "jobs": []}
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()


def test_whoever_follows_one_who_died_says_where_visitors_belong(slots: Slots) -> None:
    old, new = slots.healthy(worker=LASTING), slots.healthy()
    killed_holder(old)
    visitors = Visitors()
    visitors.come(old)
    slots.driver.resume(old, None)
    assert visitors.all()[0][2].split()[0] == old.slot
    until(lambda: slots.pids(old, "worker"))
    killed_holder(old)
    visitors.come(old)
    slots.driver.resume(old, new)
    assert visitors.all()[1][2].split()[0] == new.slot
    hold = held(slots, new)
    slots.driver.resume(new, None)  # nobody died there
    assert slots.driver.holds(new)
    hold.release()


@pytest.mark.soak
def test_if_nobody_follows_they_are_let_in(slots: Slots) -> None:
    app = slots.healthy(worker=LASTING)
    killed_holder(app)
    begin = time.monotonic()
    assert get(app)[0] == 200 and time.monotonic() - begin < 15
    until(lambda: slots.pids(app, "worker"))


def test_a_slot_that_ends_lets_them_in_first(slots: Slots) -> None:
    app = slots.healthy()
    hold = held(slots, app)
    visitors = Visitors()
    visitors.come(app)
    slots.driver.drain(app)
    assert visitors.all()[0][1] == 200
    with pytest.raises(Busy):
        hold.release()


def test_those_for_whom_there_is_no_room_wait_in_the_queue(slots: Slots) -> None:
    app = slots.healthy(Program(f"{WEB} graceful"))
    pid = keeper_of(app)
    subprocess.run(["prlimit", f"--pid={pid}", "--nofile=120:120"], check=True)
    hold = held(slots, app)
    before = open_files(app)
    visitors = Visitors()
    for _ in range(60):
        visitors.come(app)
    until(lambda: open_files(app) >= before + 40)
    assert open_files(app) == before + 40  # a third of them
    waited = hold.release()
    assert {status for _, status, _ in visitors.all()} == {200} and waited.visitors >= 40
    assert len(visitors.said) == 60
