"""The head of a request has an end, in bytes and in time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from edge_support import Edge, until

from gitdeploy.runtime.edge.app import app
from gitdeploy.runtime.edge.protocol import BoundedProtocol


class Impatient(BoundedProtocol):
    head_deadline = 0.2


@pytest.fixture
def impatient() -> Iterator[tuple[str, int]]:
    config = uvicorn.Config(app, http=Impatient, loop="uvloop", ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        until(lambda: server.started)
        yield listener.getsockname()
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: x", b"GET /"])
def test_a_head_that_never_ends_is_closed(impatient: tuple[str, int], begun: bytes) -> None:
    with socket.create_connection(impatient, timeout=10) as connection:
        connection.sendall(begun)
        assert connection.recv(100) == b""


def test_a_kept_connection_may_be_idle_for_longer(impatient: tuple[str, int]) -> None:
    request = b"GET / HTTP/1.1\r\nHost: edge.gitdeploy.invalid\r\n\r\n"
    with socket.create_connection(impatient, timeout=10) as connection:
        connection.sendall(request)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        connection.settimeout(Impatient.head_deadline * 3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)
        connection.sendall(request[:20])
        connection.sendall(request[20:])
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("line", [b"X: " + b"a" * 200_000 + b"\r\n", b"X: a\r\n" * 30_000])
def test_a_head_that_is_too_long_is_refused_by_either_edge(edge: Edge, line: bytes) -> None:
    with socket.create_connection(edge.address, timeout=10) as connection:
        try:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + line)
            said = connection.recv(1000)
        except ConnectionError:
            said = b""
    assert said == b"" or said.split()[1] in (b"400", b"431")
    assert edge.get("x").status == 404


def test_a_kept_connection_is_told_when_the_edge_leaves(
    impatient: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = b"GET / HTTP/1.1\r\nHost: edge.gitdeploy.invalid\r\n\r\n"
    with socket.create_connection(impatient, timeout=10) as connection:
        connection.sendall(request)
        assert b"connection: close" not in connection.recv(1000)
        monkeypatch.setattr(Impatient, "leaving", True)
        connection.sendall(request)
        assert b"connection: close" in connection.recv(1000)
        assert connection.recv(1000) == b""
