"""A look at the files of an environment: what there is, and what is new since the look before.

The first look reads what it finds. The last one is taken in the instant of the databases, while nobody is answered: it
opens what changed and reads it afterwards. So it takes as long as asking for the names and times of all files.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Set
from pathlib import Path
from types import TracebackType

from gitdeploy.data import files
from gitdeploy.data.files import Fixed
from gitdeploy.data.seen import Seen
from gitdeploy.domain.tree_path import TreePath
from gitdeploy.store.new_file import NewFile

_MOST_OPEN = 300
"""Files beyond these are closed again, and found by their names when it is their turn to be read."""


class Look:
    """At the files below `data`, but for the paths `without`; `above` stands before the paths. `now` is what there is,
    `seconds` what it took without reading, `newer` those that were not read as they were at the instant.
    """

    def __init__(self, data: Path, above: TreePath, without: Set[TreePath], before: Seen) -> None:
        self._data = data
        self._above = above
        self._without = without
        self._before = before
        self._began = time.time_ns()
        self._open: list[Fixed] = []
        self._closed: list[Fixed] = []
        self.now = Seen()
        self.seconds = 0.0
        self.newer: set[TreePath] = set()

    def __enter__(self) -> Look:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._open:
            self._open.pop().close()

    def read(self) -> Iterator[NewFile]:
        """What is new, read as it is found. Take each one's content before asking for the next."""
        found = files.changed(self._data, self._above, self._before, self.now, self._began, self._without)
        while True:
            asked = time.monotonic()
            one = next(found, None)
            self.seconds += time.monotonic() - asked
            if one is None:
                return
            yield one

    def fix(self, instant: int) -> None:
        """Find what is new, to be read by `fixed`. What was written since `instant` (ns, see `files.tick`) is newer."""
        for one in files.fixed(self._data, self._above, self._before, self.now, self._began, self._without):
            if one.stamp is not None and max(one.stamp[1], one.stamp[2]) > instant:
                self.newer.add(one.path)
            if len(self._open) < _MOST_OPEN:
                self._open.append(one)
            else:
                one.close()
                self._closed.append(one)

    def fixed(self) -> Iterator[NewFile]:
        """What `fix` found, as `read` gives it."""
        while self._open:
            with contextlib.closing(self._open.pop()) as one:
                yield NewFile(one.path, one.kind, one.content())
                if one.has_changed:
                    self.newer.add(one.path)
        for known in self._closed:
            yield from self._again(known)

    def _again(self, known: Fixed) -> Iterator[NewFile]:
        try:
            found = files.found(self._data, self._above, known.path)
        except OSError:
            self.newer.add(known.path)
            self.now.remove(known.path)
            return
        with contextlib.closing(found) as one:
            yield NewFile(one.path, one.kind, one.content())
            if one.stamp != known.stamp or one.has_changed:
                self.newer.add(one.path)
