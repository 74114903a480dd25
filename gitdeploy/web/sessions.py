"""Who is behind a running git process: named when it is started, asked for when its hooks knock.

The name is a secret of this process, handed to git in its environment; a hook without one was started by
somebody who reaches the repository's files, and is known by the kernel's word for who that is.
"""

from __future__ import annotations

import contextlib
import pwd
import secrets
import socket
import struct
import threading
from collections.abc import Iterator

from gitdeploy.domain.role import Actor, local_admin
from gitdeploy.errors import Refused


class Sessions:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._actors: dict[str, Actor] = {}

    @contextlib.contextmanager
    def of(self, actor: Actor) -> Iterator[str]:
        """The session's name, good while the block runs."""
        name = self.open(actor)
        try:
            yield name
        finally:
            self.close(name)

    def open(self, actor: Actor) -> str:
        name = secrets.token_urlsafe(24)
        with self._lock:
            self._actors[name] = actor
        return name

    def close(self, name: str) -> None:
        with self._lock:
            self._actors.pop(name, None)

    def actor(self, name: str) -> Actor:
        with self._lock:
            found = self._actors.get(name)
        if found is None:
            raise Refused("This push belongs to no open session.", "Push again.")
        return found


def peer(connection: socket.socket) -> Actor:
    """Whoever is at the other end of a unix socket: they have the daemon's own rights on its files."""
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return local(uid)


def local(uid: int) -> Actor:
    try:
        return local_admin(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return local_admin(f"uid-{uid}")
