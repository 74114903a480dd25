"""How a keeper is spoken to: one line of JSON each way over `control.sock`.

    {"do": "drain", "patience": 3600}                           answered at once; what is run once may take so long
    {"do": "count"}                                             answered {"answers": 120, "errors": 3}
    {"do": "scale", "counts": {"web": 3}}                       answered when those too many have ended
    {"do": "run", "line": "…", "name": "health", "within": 10}  answered {"code": 0}; null: killed, took too long
    {"do": "console", "line": "…", "name": "…", "variables": {}}  answered {"opened": true} at once
    {"do": "hold", …}  {"do": "resume"}  {"do": "take"}         see `holding.py`

With `console` come two descriptors: the terminal, and the user's connection. An error is answered
`{"error": {code, message, hint}}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gitdeploy.errors import Failed, GitdeployError

_BACKLOG = 100


class Talk:
    """One connection. Descriptors that are handed over are closed with it."""

    def __init__(self, door: socket.socket) -> None:
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._handed: list[int] = []

    async def hear(self) -> tuple[Mapping[str, Any], Sequence[int]] | None:
        """What is asked, and the descriptors that came with it; None when the other side has gone."""
        data = b""
        handed: list[int] = []
        while not data.endswith(b"\n"):
            await self._readable()
            try:
                part, fds, _, _ = socket.recv_fds(self._door, 1 << 16, 2, socket.MSG_CMSG_CLOEXEC)
            except OSError:
                return None
            handed += fds
            self._handed += fds
            if not part:
                return None
            data += part
        return json.loads(data), handed

    async def say(self, said: Mapping[str, Any]) -> None:
        await self._loop.sock_sendall(self._door, json.dumps(said).encode() + b"\n")

    def close(self) -> None:
        for one in self._handed:
            os.close(one)
        self._door.close()

    async def _readable(self) -> None:
        there = asyncio.Event()
        self._loop.add_reader(self._door, there.set)
        try:
            await there.wait()
        finally:
            self._loop.remove_reader(self._door)


Answer = Callable[[Mapping[str, Any], Sequence[int], Talk], Awaitable[dict[str, Any]]]
"""What is asked, the descriptors that came with it, and the connection, on which more may be said."""


class Control:
    """Answers until it is closed; what is being answered then goes on."""

    def __init__(self, listener: socket.socket, answer: Answer) -> None:
        self._listener = listener
        self._answer = answer
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting = self._loop.create_task(self._accept())

    def close(self) -> None:
        self._accepting.cancel()
        self._listener.close()

    async def _accept(self) -> None:
        while True:
            try:
                door, _ = await self._loop.sock_accept(self._listener)
            except OSError:  # no descriptor is left: it may pass
                await asyncio.sleep(0.1)
                continue
            task = self._loop.create_task(self._serve(door))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, door: socket.socket) -> None:
        talk = Talk(door)
        with contextlib.closing(talk), contextlib.suppress(OSError, ValueError):
            heard = await talk.hear()
            if heard is not None:
                await talk.say(await self._said(*heard, talk))

    async def _said(self, asked: Mapping[str, Any], handed: Sequence[int], talk: Talk) -> dict[str, Any]:
        try:
            return await self._answer(asked, handed, talk)
        except GitdeployError as error:
            return {"error": error.as_json()}
        except OSError as error:
            return {"error": Failed(f"The app's keeper could not do it: {error}.").as_json()}


def listen(path: Path, answer: Answer) -> Control:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.setblocking(False)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(_BACKLOG)
    return Control(listener, answer)
