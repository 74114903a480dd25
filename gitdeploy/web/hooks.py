"""The door of git's hooks: a unix socket over which a hook passes its own streams (see hooks/receive).

What the hook says, in one message: its three streams, then NUL-separated its name, the repository, the git
variables it was given and the push options. What it hears: one byte, its exit code.
"""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gitdeploy.domain.refs import Update
from gitdeploy.domain.role import Actor
from gitdeploy.errors import Busy, NotFound
from gitdeploy.git import receive
from gitdeploy.git.repository import Repository
from gitdeploy.service import push, trace
from gitdeploy.service.context import Context
from gitdeploy.service.mishap import plainly
from gitdeploy.service.push import Push
from gitdeploy.service.teller import Teller
from gitdeploy.web.sessions import Session, Sessions
from gitdeploy.web.unix import Door, hear

_QUARANTINE = ("GIT_QUARANTINE_PATH", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES")
PATIENCE = 10.0  # seconds that a listener may not read before it is no longer told


class HookDoor(Door):
    """Each hook is answered in a thread of its own; those that were heard are served to their end."""

    def __init__(self, ctx: Context, sessions: Sessions, path: Path) -> None:
        super().__init__(path, ctx.queue.track)
        self._ctx = ctx
        self._sessions = sessions

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                hello = _hear(connection)
            except (OSError, ValueError, EOFError):
                return
            wire = Wire(hello.streams[2], connection)
            try:
                code = self._act(hello, wire, connection)
            except BrokenPipeError:
                code = 1  # git was killed, or went away: there is nobody to tell
            except Exception as error:
                told = plainly(error, f"{hello.name} of {hello.repository}")
                wire.teller.problem(told.message, told.hint)
                code = told.exit_code
            finally:
                wire.close()
                for stream in hello.streams:
                    os.close(stream)
            try:
                connection.send(bytes([code]))
            except OSError:
                pass

    def _act(self, hello: Hello, wire: Wire, connection: socket.socket) -> int:
        if hello.name == "pre-receive" and self._ctx.queue.stopping.is_set():
            raise Busy("gitdeploy is stopping, so nothing was changed.", "Push again when it runs.")
        session = self._session(hello, connection)
        with trace.of(session.push):
            return self._carry_out(hello, wire, session.actor)

    def _carry_out(self, hello: Hello, wire: Wire, actor: Actor) -> int:
        quarantine = {name: value for name, value in hello.env.items() if name in _QUARANTINE}
        asked = Push(
            site=self._ctx.site(self._site(hello)),
            actor=actor,
            repository=Repository(hello.repository, quarantine),
            options=hello.options,
            teller=wire.teller,
            shallow=_shallow(hello),
            gone=wire.gone,
        )
        with open(hello.streams[0], "rb", closefd=False) as stdin:
            match hello.name:
                case "pre-receive":
                    push.check(self._ctx, asked, _updates(stdin))
                case "proc-receive":
                    with open(hello.streams[1], "wb", closefd=False) as stdout:
                        offer = receive.hear(stdin, stdout)
                        asked = Push(**{**asked.__dict__, "options": offer.options})
                        receive.answer(
                            stdout, push.decide(self._ctx, asked, offer.updates, atomic=offer.atomic)
                        )
                case "post-receive":
                    self._follow(asked, _updates(stdin))
                case _:
                    raise NotFound(f"There is no hook {hello.name!r}.")
        return 0

    def _follow(self, asked: Push, updates: tuple[Update, ...]) -> None:
        threads = push.follow(self._ctx, asked, updates)
        if "detach" in asked.options:
            asked.teller.detail("building in the background; see: gitdeploy builds " + asked.site.name)
            return
        while any(thread.is_alive() for thread in threads) and not asked.gone():
            for thread in threads:
                thread.join(timeout=0.05)

    def _session(self, hello: Hello, connection: socket.socket) -> Session:
        session = hello.env.get("GITDEPLOY_SESSION")
        return self._sessions.find(session) if session else self._sessions.beside(connection)

    def _site(self, hello: Hello) -> str:
        folder = hello.repository
        if folder.parent.resolve() != self._ctx.home.repos.resolve() or folder.suffix != ".git":
            raise NotFound(f"{folder.name} is not a repository of this server.")
        return folder.stem


@dataclass(frozen=True)
class Hello:
    name: str
    repository: Path
    env: dict[str, str]
    options: tuple[str, ...]
    streams: tuple[int, int, int]


class Wire:
    """The pusher's screen. Written in pieces that fit a pipe, and only when it can take them, so that a pusher who
    does not read (or is stopped with Ctrl-Z) never holds up a build.
    """

    def __init__(self, stream: int, connection: socket.socket) -> None:
        self._stream = stream
        self._connection = connection
        self._lock = threading.Lock()
        self._closed = False
        self.teller = Teller(self._write)
        self.gone: Callable[[], bool] = self._is_gone

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self.teller.leave()

    def _write(self, data: bytes) -> None:
        for start in range(0, len(data), select.PIPE_BUF):
            with self._lock:
                if self._closed:
                    raise BrokenPipeError
                poll = select.poll()
                poll.register(self._stream, select.POLLOUT)
                ready = poll.poll(PATIENCE * 1000)
                if not ready or ready[0][1] & (select.POLLERR | select.POLLNVAL):
                    raise BrokenPipeError
                os.write(self._stream, data[start : start + select.PIPE_BUF])

    def _is_gone(self) -> bool:
        with self._lock:
            if self._closed:
                return True
            poll = select.poll()
            poll.register(self._stream, 0)
            poll.register(self._connection, select.POLLIN)
            return any(event & (select.POLLERR | select.POLLHUP | select.POLLIN) for _, event in poll.poll(0))


def _hear(connection: socket.socket) -> Hello:
    text, streams = hear(connection, 3)
    name, repository, *rest = (os.fsdecode(part) for part in text.split(b"\0"))
    pairs = [part.partition("=")[::2] for part in rest]
    return Hello(
        name,
        Path(repository),
        {key: value for key, value in pairs if key != "option"},
        tuple(value for key, value in pairs if key == "option"),
        (streams[0], streams[1], streams[2]),
    )


def _shallow(hello: Hello) -> tuple[str, ...]:
    """The commits at which the pusher's history ends, when it is a shallow clone's."""
    file = hello.env.get("GIT_SHALLOW_FILE")
    return tuple((hello.repository / file).read_text().split()) if file else ()


def _updates(stdin: BinaryIO) -> tuple[Update, ...]:
    return tuple(receive.parse_update(line) for line in stdin)
