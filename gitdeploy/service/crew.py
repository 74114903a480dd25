"""The builders at work: who has a free place, and who was not reached lately. Known to the running server alone."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from gitdeploy.build.builder import Canceled
from gitdeploy.build.run import Cancel
from gitdeploy.domain.builder import Builder

_HERE = ""
_REST = 30.0
"""Seconds for which a builder that was not reached is not asked again."""


@dataclass
class Crew:
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _running: Counter[str] = field(default_factory=Counter)
    _away: dict[str, tuple[float, str]] = field(default_factory=dict)  # since when, and why

    @contextlib.contextmanager
    def place(
        self, builders: Callable[[], Sequence[Builder]], here: int, without: Collection[str], cancel: Cancel
    ) -> Iterator[Builder | None]:
        """Hold a place on the builder with the most room; None is one of the `here` places of this machine, which
        builds only while no other can be reached. `without` names those that failed already. Raises Canceled.
        """
        with self._changed:
            while (found := self._free(builders(), here, without)) is None:
                self._changed.wait(timeout=0.5)
                if cancel.is_set():
                    raise Canceled("The build was canceled.")
            name = found.name if isinstance(found, Builder) else _HERE
            self._running[name] += 1
        try:
            yield found if isinstance(found, Builder) else None
        finally:
            with self._changed:
                self._running[name] -= 1
                self._changed.notify_all()

    def lost(self, name: str, why: str) -> None:
        with self._changed:
            self._away[name] = (time.monotonic(), why)
            self._changed.notify_all()

    def found(self, name: str) -> None:
        with self._changed:
            self._away.pop(name, None)
            self._changed.notify_all()

    def state(self, name: str) -> tuple[int, str]:
        """How many builds it makes, and why it was not reached when last tried; "" when it was."""
        with self._changed:
            return self._running[name], self._away.get(name, (0.0, ""))[1]

    def _free(self, builders: Sequence[Builder], here: int, without: Collection[str]) -> Builder | str | None:
        """None: all that could be asked are busy."""
        now = time.monotonic()
        there = [
            one
            for one in builders
            if one.name not in without
            and not (one.name in self._away and now < self._away[one.name][0] + _REST)
        ]
        if not there:
            return _HERE if self._running[_HERE] < here else None
        room = [one for one in there if self._running[one.name] < one.places]
        return min(room, key=lambda one: self._running[one.name] / one.places, default=None)
