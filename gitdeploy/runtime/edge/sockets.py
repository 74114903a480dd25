"""Sockets of the edge: claimed, handed from one process to the next, and spoken to by path."""

from __future__ import annotations

import contextlib
import errno
import http.client
import os
import socket
import threading
from pathlib import Path

from gitdeploy.errors import Failed

BACKLOG = 2048


def claim(host: str, port: int) -> socket.socket:
    """A listening socket, never with SO_REUSEPORT: two edges on one port would share its visitors by chance.

    Raises Failed, with the name of the program that has the port.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        where = f"{host}:{port}"
        if error.errno == errno.EADDRINUSE:
            raise Failed(
                f"{where} is in use by {_holder(port)}.", "Stop it, or give the edge another address."
            ) from error
        raise Failed(f"The edge cannot listen on {where}: {error.strerror or error}.") from error


def listen_at(path: Path) -> socket.socket:
    """Bound beside its name and renamed: the path never leads to nobody while one edge follows another."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(beside))
    beside.chmod(0o600)
    listener.listen(BACKLOG)
    beside.rename(path)
    return listener


def hand_over(path: Path, public: socket.socket) -> None:
    """Give `public` to whoever connects to `path`, from a thread, for as long as the process lives."""
    door = listen_at(path)

    def serve() -> None:
        while True:
            visitor, _ = door.accept()
            with visitor, contextlib.suppress(OSError):
                socket.send_fds(visitor, [b"."], [public.fileno()])

    threading.Thread(target=serve, daemon=True).start()


def take_over(path: Path) -> socket.socket | None:
    """The listening socket of the edge at `path`; None when it does not hand it over."""
    try:
        with connected(path) as door:
            _, fds, _, _ = socket.recv_fds(door, 1, 1)
    except OSError:
        return None
    return socket.socket(fileno=fds[0]) if fds else None


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = connected(self._path)


def connected(path: Path) -> socket.socket:
    """Reached through its folder: a socket's path has at most 107 bytes, and a home may lie deep."""
    door = socket.socket(socket.AF_UNIX)
    folder = -1
    try:
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
        door.settimeout(5)
        door.connect(f"/proc/self/fd/{folder}/{path.name}")
    except BaseException:
        door.close()
        raise
    finally:
        if folder >= 0:
            os.close(folder)
    return door


def _holder(port: int) -> str:
    """`nginx (process 812)`, as far as /proc lets us see."""
    inodes = {
        f"socket:[{fields[9]}]"
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        if Path(table).exists()
        for fields in (line.split() for line in Path(table).read_text().splitlines()[1:])
        if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port
    }
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if any(str(fd.readlink()) in inodes for fd in (entry / "fd").iterdir()):
                    return f"{(entry / 'comm').read_text().strip()} (process {entry.name})"
            except OSError:
                continue
    return "another program"
