"""Who is behind a running git process: named when it is started, asked for when its hooks knock.

The name is a secret of this process, handed to git in its environment; a hook without one was started by
somebody who reaches the repository's files, and is known by the kernel's word for who that is. The session of
another process, such as the SSH door's, ends with that process, however it ends.
"""

from __future__ import annotations

import pwd
import secrets
import socket
import struct
import threading
from dataclasses import dataclass
from pathlib import Path

from gitdeploy.domain.role import Actor, local_admin
from gitdeploy.errors import Refused
from gitdeploy.runtime.edge.running import Running, born
from gitdeploy.store import ids


@dataclass(frozen=True)
class Session:
    """`owner` is the process it ends with; None when it is closed by hand. `push` is the id of what is pushed in it."""

    actor: Actor
    owner: Running | None
    push: str = ""

    @property
    def over(self) -> bool:
        return self.owner is not None and not self.owner.alive


class Sessions:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, Session] = {}

    def open(self, actor: Actor, *, owner: int | None = None) -> str:
        """The session's name, good until it is closed or the process with the pid `owner` ends."""
        name = secrets.token_urlsafe(24)
        process = None if owner is None else Running("session", owner, born(owner) or "ended")
        with self._lock:
            self._open = {one: its for one, its in self._open.items() if not its.over}
            self._open[name] = Session(actor, process, ids.new("psh"))
        return name

    def close(self, name: str) -> None:
        with self._lock:
            self._open.pop(name, None)

    def actor(self, name: str) -> Actor:
        return self.find(name).actor

    def find(self, name: str) -> Session:
        """Raises Refused for one that is over."""
        with self._lock:
            found = self._open.get(name)
        if found is None or found.over:
            raise Refused("This push belongs to no open session.", "Push again.")
        return found

    def beside(self, connection: socket.socket) -> Session:
        """Of a hook whose git was started by somebody who reaches the repository's files: all hooks of that git share
        one, which ends with it.
        """
        git = _parent(_credentials(connection)[0])
        with self._lock:
            self._open = {one: its for one, its in self._open.items() if not its.over}
            process = Running("session", git, born(git) or "ended")
            name = f"{process.pid} {process.born}"
            return self._open.setdefault(name, Session(peer(connection), process, ids.new("psh")))


def peer(connection: socket.socket) -> Actor:
    """Whoever is at the other end of a unix socket: they have the daemon's own rights on its files."""
    return local(_credentials(connection)[1])


def _credentials(connection: socket.socket) -> tuple[int, int]:
    """The pid and the uid of whoever is at the other end."""
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, uid


def _parent(pid: int) -> int:
    """proc_pid_stat(5): what follows the name, which may hold anything."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return pid


def local(uid: int) -> Actor:
    try:
        return local_admin(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return local_admin(f"uid-{uid}")
