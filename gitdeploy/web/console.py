"""The door of consoles: a unix socket over which `gitdeploy console` passes the terminal that it made.

What it says is JSON: `{"site", "env", "command", "term", "session"}`. When all is well it hears nothing from here: its
connection is handed to the keeper of the slot, which answers when the console has ended. So nothing of a console ends
with the daemon.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from pathlib import Path

from gitdeploy.errors import Busy
from gitdeploy.service import processes
from gitdeploy.service.context import Context
from gitdeploy.service.mishap import plainly
from gitdeploy.service.processes import Seat
from gitdeploy.web.api.asking import site
from gitdeploy.web.sessions import Sessions, peer
from gitdeploy.web.unix import Door, hear


class ConsoleDoor(Door):
    def __init__(self, ctx: Context, sessions: Sessions, path: Path) -> None:
        super().__init__(path, ctx.queue.track)
        self._ctx = ctx
        self._sessions = sessions

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                text, (terminal,) = hear(connection, 1)
            except (OSError, ValueError, EOFError):
                return
            try:
                self._open(text, terminal, connection)
            except Exception as error:
                told = {"error": plainly(error, "a console").as_json()}
                with contextlib.suppress(OSError):
                    connection.sendall(json.dumps(told).encode() + b"\n")
            finally:
                os.close(terminal)

    def _open(self, text: bytes, terminal: int, connection: socket.socket) -> None:
        if self._ctx.queue.stopping.is_set():
            raise Busy("gitdeploy is stopping.", "Open a console when it runs again.")
        asked: dict[str, str] = json.loads(text)
        who = self._sessions.actor(asked["session"]) if asked["session"] else peer(connection)
        where = site(self._ctx, who, asked["site"])
        seat = Seat(terminal, connection.fileno(), asked["term"])
        processes.console(self._ctx, who, where, asked["env"], asked["command"], seat)
