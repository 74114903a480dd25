"""What is run once in a slot: commands, and consoles, which last as long as their user."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping

from gitdeploy.errors import Busy
from gitdeploy.runtime.apps.console import console
from gitdeploy.runtime.apps.launch import Ground
from gitdeploy.runtime.apps.logs import Capture
from gitdeploy.runtime.apps.once import once


class Jobs:
    """`capture` takes down what the one of a name says; `changed` is called when one begins or has ended."""

    def __init__(
        self, ground: Ground, key: str, capture: Callable[[str], Capture], changed: Callable[[], None]
    ) -> None:
        self._ground = ground
        self._key = key
        self._capture = capture
        self._changed = changed
        self._running: dict[str, asyncio.Event] = {}
        self._consoles: set[asyncio.Task[None]] = set()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._running)

    async def run(self, name: str, line: str, within: float) -> int | None:
        """The exit code; None when it was killed after `within` seconds. Raises Busy when it runs already."""
        with self._as(name):
            capture = self._capture(name)
            try:
                return await once(line, name, self._ground, self._key, capture, within)
            finally:
                capture.close()

    def open_console(
        self, name: str, line: str, variables: Mapping[str, str], terminal: int, user: int
    ) -> None:
        async def hold() -> None:
            with self._as(name), socket.socket(fileno=user) as door:
                await console(line, name, self._ground, self._key, variables, terminal, door)

        task = asyncio.create_task(hold())
        self._consoles.add(task)
        task.add_done_callback(self._consoles.discard)

    async def end(self, patience: float) -> None:
        """Wait so many seconds, then end consoles; what else is run is ended with the slot."""
        running = [asyncio.create_task(ended.wait()) for ended in self._running.values()]
        if running:
            await asyncio.wait(running, timeout=patience)
        for one in self._consoles:
            one.cancel()
        await asyncio.gather(*self._consoles)

    @contextlib.contextmanager
    def _as(self, name: str) -> Iterator[None]:
        if name in self._running:
            raise Busy(f"{name} is still running.", "It is not run twice at a time.", again=10)
        ended = self._running[name] = asyncio.Event()
        self._changed()
        try:
            yield
        finally:
            del self._running[name]
            ended.set()
            self._changed()
