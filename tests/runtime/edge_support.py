"""An edge spoken to over real sockets, and sites whose release folders are made by hand."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gitdeploy.domain.serving import Rules
from gitdeploy.process import Command, start
from gitdeploy.runtime.edge import driver
from gitdeploy.runtime.routes import Routes
from gitdeploy.runtime.slots import Environment
from gitdeploy.store.home import Home

_numbers = itertools.count(1)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    every: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Edge:
    home: Home
    kind: driver.Driver
    address: tuple[str, int]

    def get(self, host: str, path: str | bytes = "/", method: str = "GET", **headers: str) -> Answer:
        """One request on a connection of its own. `if_none_match=…` becomes If-None-Match."""
        raw = path.encode("latin-1") if isinstance(path, str) else path
        lines = [f"{method} ".encode() + raw + b" HTTP/1.1", f"Host: {host}".encode("latin-1")]
        lines += [f"{name.replace('_', '-')}: {value}".encode() for name, value in headers.items()]
        return parse(self.raw(b"\r\n".join([*lines, b"Connection: close", b"", b""])), method)

    def raw(self, request: bytes) -> bytes:
        with socket.create_connection(self.address, timeout=20) as connection:
            connection.sendall(request)
            parts = []
            while part := connection.recv(1 << 16):
                parts.append(part)
        return b"".join(parts)


def parse(raw: bytes, method: str = "GET") -> Answer:
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    every = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in rest)]
    headers = dict(every)
    if headers.get("transfer-encoding") == "chunked" and method != "HEAD":
        body = _unchunk(body)
    elif method != "HEAD" and "content-length" in headers:
        assert len(body) == int(headers["content-length"])
    return Answer(int(first.split()[1]), headers, body, every)


def _unchunk(data: bytes) -> bytes:
    whole = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return whole
        assert len(data) >= length + 2
        whole, data = whole + data[:length], data[length + 2 :]


@dataclass
class Site:
    """A site of its own, so that tests can share one edge."""

    edge: Edge
    name: str
    host: str

    @property
    def production(self) -> Environment:
        return Environment(self.edge.home, self.name, "production")

    def release(
        self, slot: str, files: Mapping[str | bytes, bytes | str], rules: Rules | None = None
    ) -> None:
        """Prepare and switch."""
        tree = make_tree(self.edge.home, files)
        self.production.prepare(slot, tree, rules or Rules())
        self.production.point(slot)

    def get(self, path: str | bytes = "/", method: str = "GET", **headers: str) -> Answer:
        return self.edge.get(self.host, path, method, **headers)


def make_tree(home: Home, files: Mapping[str | bytes, bytes | str]) -> Path:
    """A folder of files as the store has it: every file with an mtime that no other file has."""
    tree = home.store / "trees" / f"{os.getpid()}-{next(_numbers)}"
    tree.mkdir(parents=True)
    for name, content in files.items():
        path = Path(os.fsdecode(os.fsencode(tree) + b"/" + os.fsencode(name)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        os.utime(path, (0, 1_000_000_000 + next(_numbers) * 7919))
    return tree


def make_site(edge: Edge) -> Site:
    name = f"site{next(_numbers)}"
    Routes(edge.home).add(f"{name}.localhost", name, "production")
    return Site(edge, name, f"{name}.localhost")


def start_edge(home: Home, kind: driver.Driver) -> Edge:
    status = driver.ensure(home, kind, "127.0.0.1:0")
    host, _, port = status.listen.rpartition(":")
    return Edge(home, kind, (host, int(port)))


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


@dataclass
class App:
    """A release that is a running program."""

    slot: str
    process: subprocess.Popen[bytes]

    def leave(self) -> None:
        """Let it finish what it has begun; it ends with its last connection."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def run_app(site: Site, slot: str, name: str = "") -> App:
    """Prepared and listening, not yet live; started again where it was. `name` is what it calls itself."""
    here = site.production.slot_folder(slot)
    listening = here / "web.sock"
    if not here.exists():
        assert site.production.prepare_app(slot, make_tree(site.edge.home, {"app.py": slot})) == listening
    listening.unlink(missing_ok=True)
    argv = (sys.executable, "-I", "-S", str(Path(__file__).with_name("app_server.py")), name or slot)
    process = start(Command(argv, cwd=here))
    until(listening.exists)
    return App(slot, process)
