"""A command on somebody's terminal, beside what runs.

The terminal is one end of a pair that the user's own program made. It holds the other end, so what is typed and shown
passes by the keeper, and when that program goes, however it goes, the kernel hangs up. Its connection is told, as one
line of JSON, how it ended: `{"code": 0}` or `{"error": {…}}`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Mapping

from gitdeploy.errors import Busy, Failed
from gitdeploy.runtime.apps import launch
from gitdeploy.runtime.apps.family import GROUPS, MARK, Family
from gitdeploy.runtime.apps.launch import Ground
from gitdeploy.runtime.edge.running import Running

GRACE = 2.0
"""Seconds to end by itself after the terminal hung up."""


async def console(
    line: str,
    name: str,
    ground: Ground,
    key: str,
    variables: Mapping[str, str],
    terminal: int,
    user: socket.socket,
) -> None:
    """Returns when nothing of it is left. It is ended when `user` goes, and when this is cancelled."""
    user.setblocking(False)
    family = Family(f"{key}/{name}", launch.group(f"{GROUPS}-{key}-{name}", 0))
    try:
        try:
            more = {**variables, MARK: family.mark}
            child = launch.spawn_on(terminal, line, ground, family.group, more)
        finally:
            os.close(terminal)  # the program's is the last one: its end is seen at the other end
        over = asyncio.create_task(launch.ended(Running.child(name, "", child)))
        await _until(over, user)
        await family.kill()
        code = child.poll() or 0
        _tell(user, {"code": code if code >= 0 else 128 - code})
    except OSError as error:
        _tell(user, {"error": Failed(f"The console could not be opened: {error.strerror}.").as_json()})
    finally:
        await family.kill()
        family.remove()


async def _until(over: asyncio.Task[None], user: socket.socket) -> None:
    """Wait until it is over, and see that it soon is when the user has gone or is told to go."""
    gone = asyncio.create_task(_gone(user))
    try:
        await asyncio.wait({over, gone}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        retired = Busy(
            "The release that this console was in is no longer kept.",
            "Open another: it is in what is live now.",
        )
        _tell(user, {"error": retired.as_json()})
    gone.cancel()
    await asyncio.wait({over}, timeout=GRACE)


async def _gone(user: socket.socket) -> None:
    """Nothing more is said over the connection: whatever comes is its end."""
    with contextlib.suppress(OSError):
        await asyncio.get_running_loop().sock_recv(user, 1)


def _tell(user: socket.socket, said: Mapping[str, object]) -> None:
    with contextlib.suppress(OSError):
        user.send(json.dumps(said).encode() + b"\n")
