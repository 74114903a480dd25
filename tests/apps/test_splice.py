"""The joining of two connections by itself, at the moments that a real app and visitor seldom hit."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from gitdeploy.runtime.apps.splice import join


def joined(act: Callable[[socket.socket, socket.socket], None]) -> tuple[bytes, bytes]:
    """What the visitor and the app got in the end. `act` is done before the two are joined."""

    async def go() -> tuple[bytes, bytes]:
        loop = asyncio.get_running_loop()
        (visitor, one), (other, app) = socket.socketpair(), socket.socketpair()
        for door in (visitor, one, other, app):
            door.setblocking(False)
        act(visitor, app)
        over, begins = asyncio.Event(), list[bytes]()
        join(one, other, over.set, begins.append)

        async def read(door: socket.socket) -> bytes:
            parts = []
            try:
                while door.fileno() >= 0 and (part := await loop.sock_recv(door, 1 << 16)):
                    parts.append(part)
            except ConnectionResetError:
                pass
            door.close()
            return b"".join(parts)

        got = await asyncio.gather(read(visitor), read(app))
        await asyncio.wait_for(over.wait(), 20)
        assert one.fileno() == other.fileno() == -1
        assert [begin[:6] for begin in begins] == ([got[0][:6]] if got[0] else [])
        return got[0], got[1]

    return asyncio.run(go())


def test_both_say_something_and_end() -> None:
    def act(visitor: socket.socket, app: socket.socket) -> None:
        for door, words in ((visitor, b"question"), (app, b"answer")):
            door.send(words)
            door.shutdown(socket.SHUT_WR)

    assert joined(act) == (b"answer", b"question")


def test_a_long_answer_of_an_app_that_hung_up_on_an_upload_is_read_to_its_end() -> None:
    def act(visitor: socket.socket, app: socket.socket) -> None:
        visitor.send(b"u" * 100_000)
        assert app.send(b"a" * 150_000) == 150_000
        app.close()

    assert joined(act) == (b"a" * 150_000, b"")


def test_a_visitor_that_is_gone_already_ends_it() -> None:
    def act(visitor: socket.socket, app: socket.socket) -> None:
        visitor.send(b"never mind")
        visitor.close()

    assert joined(act) == (b"", b"never mind")


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 1_000_000])
def test_what_is_not_taken_at_once_is_not_lost(size: int) -> None:
    async def go() -> bytes:
        loop = asyncio.get_running_loop()
        (visitor, one), (other, app) = socket.socketpair(), socket.socketpair()
        for door in (visitor, one, other, app):
            door.setblocking(False)
        over, begins = asyncio.Event(), list[bytes]()
        join(one, other, over.set, begins.append)
        sending = loop.create_task(loop.sock_sendall(app, b"s" * size))
        await asyncio.sleep(0)
        got = b""
        while len(got) < size:
            got += await loop.sock_recv(visitor, 1000 if len(got) < 50_000 else 1 << 16)
        await sending
        app.close()
        assert await loop.sock_recv(visitor, 1) == b""
        visitor.close()
        await asyncio.wait_for(over.wait(), 20)
        return got

    assert asyncio.run(go()) == b"s" * size
