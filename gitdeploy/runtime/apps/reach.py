"""Where a copy of `web` may listen: the socket it was told (SOCKET), or its PORT on either loopback address."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Address:
    """A port, or the path of a unix socket that belongs to the user `owner`."""

    family: int
    port: int = 0
    path: Path = Path()
    owner: int = 0

    async def connect(self) -> socket.socket:
        """Raises OSError, at once, when nobody listens."""
        door = socket.socket(self.family)
        door.setblocking(False)
        try:
            if self.family == socket.AF_UNIX:
                _connect_to_file(door, self.path, self.owner)
            else:
                door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                host = "127.0.0.1" if self.family == socket.AF_INET else "::1"
                await _connect(door, (host, self.port))
        except BaseException:
            door.close()
            raise
        return door


def candidates(port: int, path: Path, owner: int) -> tuple[Address, ...]:
    at_port = (Address(socket.AF_INET, port), Address(socket.AF_INET6, port))
    return (Address(socket.AF_UNIX, path=path, owner=owner), *at_port)


async def _connect(door: socket.socket, address: tuple[str, int]) -> None:
    """As asyncio does, without asking what the address means: this is done for every request."""
    try:
        door.connect(address)
        return
    except BlockingIOError:
        pass
    loop, fd = asyncio.get_running_loop(), door.fileno()
    connected = asyncio.Event()
    loop.add_writer(fd, connected.set)
    try:
        await connected.wait()
    finally:
        loop.remove_writer(fd)
    if code := door.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(code, os.strerror(code))


def _connect_to_file(door: socket.socket, path: Path, owner: int) -> None:
    """An app may put what it likes at its path: a link to a socket that only we may use is not followed."""
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if not stat.S_ISSOCK(found.st_mode) or found.st_uid != owner:
            raise PermissionError(f"{path.name} is no socket of the app")
        door.connect(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)
