"""How a keeper is spoken to: one line of JSON each way over `control.sock`.

    {"do": "drain", "patience": 3600}                           answered at once; what is run once may take so long
    {"do": "count"}                                             answered {"answers": 120, "errors": 3}
    {"do": "scale", "counts": {"web": 3}}                       answered when those too many have ended
    {"do": "run", "line": "…", "name": "health", "within": 10}  answered {"code": 0}; null: killed, took too long
    {"do": "console", "line": "…", "name": "…", "variables": {}}  answered {"opened": true} at once

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

Answer = Callable[[Mapping[str, Any], Sequence[int]], Awaitable[dict[str, Any]]]
"""What is asked, and descriptors that came with it: they are closed when it is answered."""
_BACKLOG = 100


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
        handed: list[int] = []
        with door, contextlib.suppress(OSError, ValueError):
            try:
                said = await self._said(json.loads(await self._line(door, handed)), handed)
            finally:
                for one in handed:
                    os.close(one)
            await self._loop.sock_sendall(door, json.dumps(said).encode() + b"\n")

    async def _said(self, asked: Mapping[str, Any], handed: Sequence[int]) -> dict[str, Any]:
        try:
            return await self._answer(asked, handed)
        except GitdeployError as error:
            return {"error": error.as_json()}
        except OSError as error:
            return {"error": Failed(f"The app's keeper could not do it: {error}.").as_json()}

    async def _line(self, door: socket.socket, handed: list[int]) -> bytes:
        data = b""
        while not data.endswith(b"\n"):
            await self._readable(door)
            part, fds, _, _ = socket.recv_fds(door, 1 << 16, 2, socket.MSG_CMSG_CLOEXEC)
            handed += fds
            if not part:
                break
            data += part
        return data

    async def _readable(self, door: socket.socket) -> None:
        there = asyncio.Event()
        self._loop.add_reader(door, there.set)
        try:
            await there.wait()
        finally:
            self._loop.remove_reader(door)


def listen(path: Path, answer: Answer) -> Control:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.setblocking(False)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(_BACKLOG)
    return Control(listener, answer)
