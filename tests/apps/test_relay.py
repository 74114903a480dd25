"""What passes between the edge and the app is bytes, and none of them is lost."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import signal
import socket
import threading
import time
from collections import Counter
from pathlib import Path

from apps_support import WEB, Slots, alive, dial, get, keeper_of, until

from gitdeploy.domain.app import Check, Program
from gitdeploy.runtime.apps.reach import Address
from gitdeploy.runtime.apps.relay import Relay


def answer_of(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def test_large_bodies_pass_both_ways(slots: Slots) -> None:
    app = slots.healthy()
    body = os.urandom(20 << 20)
    with dial(app) as visitor:
        head = f"POST /upload HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        visitor.sendall(head.encode() + body)
        assert answer_of(visitor).endswith(hashlib.sha256(body).hexdigest().encode())
    assert len(get(app, f"/big/{20 << 20}")[1]) == 20 << 20


def test_a_slow_reader_does_not_fill_the_keepers_memory(slots: Slots) -> None:
    app = slots.healthy()
    with dial(app) as visitor:
        visitor.sendall(f"GET /big/{200 << 20} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        begin = visitor.recv(1000)
        assert begin.startswith(b"HTTP/1.1 200")
        assert get(app)[0] == 200
        with open(f"/proc/{keeper_of(app)}/status") as status:
            resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
        assert resident < 100_000
        whole = begin + answer_of(visitor)
        assert len(whole.partition(b"\r\n\r\n")[2]) == 200 << 20


def test_a_visitor_that_has_said_everything_still_gets_its_answer(slots: Slots) -> None:
    app = slots.healthy()
    with dial(app) as visitor:
        visitor.sendall(b"GET /slow/0.5 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        visitor.shutdown(socket.SHUT_WR)
        assert b"slow from" in answer_of(visitor)


def test_the_end_of_a_conversation_is_passed_on_and_the_other_half_goes_on(slots: Slots) -> None:
    app = slots.healthy()
    with dial(app) as chat:
        chat.sendall(b"GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n")
        assert chat.recv(1000).startswith(b"HTTP/1.1 101")
        chat.sendall(b"hello")
        assert chat.recv(5, socket.MSG_WAITALL) == b"hello"
        chat.shutdown(socket.SHUT_WR)
        assert answer_of(chat) == b"bye"


def test_an_answer_before_the_whole_upload_is_not_lost(slots: Slots) -> None:
    app = slots.healthy()
    with dial(app) as visitor:
        visitor.sendall(b"POST /none HTTP/1.0\r\nContent-Length: 10\r\n\r\n" + b"x" * 10)
        assert answer_of(visitor).startswith(b"HTTP/1.1 200")
        visitor.sendall(b"y" * 100_000)


def test_an_app_may_refuse_an_upload_and_hang_up(slots: Slots) -> None:
    app = slots.healthy()
    for _ in range(5):
        with dial(app) as visitor:
            visitor.sendall(b"POST /refuse HTTP/1.1\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 20_000_000)
            whole = answer_of(visitor)
        assert whole.startswith(b"HTTP/1.1 413") and whole.endswith(b"r" * 30_000)


def test_a_visitor_that_leaves_is_not_kept(slots: Slots) -> None:
    """Nobody writes to it any more, so only its going itself can tell."""
    app = slots.start(Program(WEB, stop_timeout=1))
    folder = Path(f"/proc/{keeper_of(app)}/fd")
    until(lambda: slots.driver.status(app).is_well)
    before = len(list(folder.iterdir()))
    for path in ("/slow/60", "/stream/60"):
        with dial(app) as visitor:
            visitor.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            until(lambda: len(list(folder.iterdir())) >= before + 2)
        until(lambda: len(list(folder.iterdir())) <= before)


def test_a_program_that_starts_again_costs_no_request_that_another_can_take(slots: Slots) -> None:
    """Asked to end, as an app server that renews itself does: it finishes what it has, and takes no more."""
    app = slots.healthy(Program("exec /usr/bin/python3 -S app.py graceful", count=2))
    seen: Counter[str] = Counter()
    failed: list[BaseException] = []
    over = threading.Event()

    def visit() -> None:
        while not over.is_set():
            try:
                seen[get(app)[1]] += 1
            except Exception as error:
                failed.append(error)

    visitors = [threading.Thread(target=visit) for _ in range(4)]
    for one in visitors:
        one.start()
    try:
        for _ in range(3):
            for pid in slots.programs(app):
                os.kill(pid, signal.SIGTERM)
                until(lambda pid=pid: not alive(pid))
                slots.driver.wait_healthy(app, Check())
    finally:
        over.set()
        for one in visitors:
            one.join()
    assert len(seen) >= 6 and sum(seen.values()) > 100
    # The queue of a socket that is closed is lost to its last microsecond; no proxy can take that back.
    assert len(failed) <= 2, failed


def test_a_door_that_closes_while_no_descriptor_is_left_loses_nobody(tmp_path: Path) -> None:
    """Who is in the queue by then was let in, and is served as soon as that can be done."""
    path = tmp_path / "web.sock"

    class Backend:
        def lost(self) -> None:
            raise AssertionError

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello " + await reader.readline())
        writer.close()

    async def scene() -> bytes:
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        backend, relay = Backend(), Relay()
        backend.address = Address(socket.AF_INET, server.sockets[0].getsockname()[1])
        relay.backends = [backend]
        relay.listen(path)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket(socket.AF_UNIX) as visitor:
            visitor.setblocking(False)
            resource.setrlimit(resource.RLIMIT_NOFILE, (visitor.fileno(), hard))
            loop.call_later(1, resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
            visitor.connect(str(path))
            visitor.send(b"again\n")
            try:
                await relay.close(path)
                said = await loop.sock_recv(visitor, 100)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert await relay.idle(backend, 5)
        server.close()
        await server.wait_closed()
        return said

    assert asyncio.run(scene()) == b"hello again\n"


def test_all_copies_get_their_share(slots: Slots) -> None:
    app = slots.healthy(Program(WEB, count=3))
    assert sorted(Counter(get(app)[1] for _ in range(12)).values()) == [4, 4, 4]


def test_a_copy_that_is_taken_away_finishes_its_requests(slots: Slots) -> None:
    app = slots.healthy(Program(WEB, count=2))
    found: list[tuple[int, str]] = []
    threads = [threading.Thread(target=lambda: found.append(get(app, "/slow/1"))) for _ in range(4)]
    for one in threads:
        one.start()
    until(lambda: (slots.log(app) + slots.log(app, "web.2")).count("slow begins") == 4)
    slots.driver.scale(app, {"web": 1})
    for one in threads:
        one.join()
    assert [status for status, _ in found] == [200] * 4


def test_where_no_copy_is_wanted_nobody_is_kept_waiting(slots: Slots) -> None:
    app = slots.healthy()
    slots.driver.scale(app, {"web": 0})
    begin = time.monotonic()
    status, page = get(app)
    assert (status, "no web process" in page) == (503, True)
    assert time.monotonic() - begin < 5
    assert slots.driver.count(app)[1] == 0  # nothing failed
    slots.driver.scale(app, {"web": 1})
    assert get(app)[0] == 200
