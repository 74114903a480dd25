"""Unix sockets of this machine, over which descriptors are passed to the daemon as well as words."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from pathlib import Path

log = logging.getLogger("gitdeploy.unix")
_LONGEST = 1 << 20
_PATIENCE = 30.0  # seconds in which somebody has to say what they want


class Door(ABC):
    """`track` starts a thread for each who knocks."""

    def __init__(self, path: Path, track: Callable[[Callable[[], None]], object]) -> None:
        self._track = track
        self._name = path.name
        self._door = listen(path)
        self._closed = False

    def open(self) -> None:
        """Answer until `close`."""
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._closed = True
        self._door.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
        self._door.close()

    @abstractmethod
    def _serve(self, connection: socket.socket) -> None: ...

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection, _ = self._door.accept()
            except OSError as error:
                if not self._closed:
                    log.error("%s: %s", self._name, error)  # too many open files, say: it may pass
                    time.sleep(0.1)
                continue
            self._track(partial(self._serve, connection))


def listen(path: Path) -> socket.socket:
    """A listening unix socket that only this user reaches, in place of one that nobody listens on any more."""
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        path.unlink(missing_ok=True)
        door.bind(f"/proc/self/fd/{folder}/{path.name}")  # a socket's path holds 107 bytes at most
    finally:
        os.close(folder)
    path.chmod(0o600)
    door.listen(128)
    return door


def hear(connection: socket.socket, count: int) -> tuple[bytes, tuple[int, ...]]:
    """What is said and the `count` descriptors that come with its size (4 bytes, big end first). Whoever calls closes
    them. Raises OSError, EOFError, ValueError.
    """
    connection.settimeout(_PATIENCE)
    size, handed, _, _ = socket.recv_fds(connection, 4, count)
    try:
        if len(size) != 4 or len(handed) != count:
            raise EOFError
        wanted = int.from_bytes(size, "big")
        if wanted > _LONGEST:
            raise ValueError("too long")
        text = b""
        while len(text) < wanted:
            chunk = connection.recv(wanted - len(text))
            if not chunk:
                raise EOFError
            text += chunk
    except BaseException:
        for one in handed:
            os.close(one)
        raise
    connection.settimeout(None)
    return text, tuple(handed)
