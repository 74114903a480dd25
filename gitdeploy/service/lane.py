"""One lane an environment: pushes keep their order, and only one switch happens at a time.

A lane has four gates. A push holds its `turn` from before its build until it is live or refused, so two pushes to
`main` never overtake each other. The `switch` itself holds the second, short gate; a rollback needs only that
one and so never waits for somebody's build. Whoever captures or replaces its data holds `data`, and
whoever has its visitors wait holds `pause`. Locks live in this process: if it dies, they are gone.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gitdeploy.errors import Failed
from gitdeploy.service.teller import Teller


@dataclass
class Gate:
    """A first-come-first-served lock that can say who holds it."""

    _ready: threading.Condition = field(default_factory=threading.Condition)
    _queue: list[object] = field(default_factory=list)
    _holder: str = ""
    _since: float = 0.0

    @contextlib.contextmanager
    def hold(self, who: str, teller: Teller, gone: Callable[[], bool]) -> Iterator[None]:
        """Wait in line, telling whom for; raises Failed when `gone()` turns true while waiting."""
        place = object()
        with self._ready:
            self._queue.append(place)
            if self._queue[0] is not place:
                teller.detail(f"waiting for {self._holder}, {time.monotonic() - self._since:.0f} s so far")
            try:
                while self._queue[0] is not place:
                    self._ready.wait(timeout=0.5)
                    if gone():
                        raise Failed("Canceled while waiting; nothing was changed.")
            except BaseException:
                self._leave(place)
                raise
            self._holder, self._since = who, time.monotonic()
        try:
            yield
        finally:
            with self._ready:
                self._leave(place)

    @property
    def free(self) -> bool:
        """Nobody holds it or waits for it at this moment."""
        return not self._queue

    @property
    def waiting(self) -> int:
        return max(0, len(self._queue) - 1)

    def _leave(self, place: object) -> None:
        self._queue.remove(place)
        self._ready.notify_all()


@dataclass
class Lane:
    turn: Gate = field(default_factory=Gate)
    switch: Gate = field(default_factory=Gate)
    data: Gate = field(default_factory=Gate)
    pause: Gate = field(default_factory=Gate)


class Lanes:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lanes: dict[tuple[str, str], Lane] = {}

    def of(self, site: str, env: str) -> Lane:
        with self._lock:
            return self._lanes.setdefault((site, env), Lane())

    @property
    def waiting(self) -> int:
        """How many wait for somebody else to be done, anywhere."""
        with self._lock:
            lanes = list(self._lanes.values())
        return sum(gate.waiting for one in lanes for gate in (one.turn, one.switch, one.data, one.pause))
