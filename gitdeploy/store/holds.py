"""What must not be collected though no kept artifact names it: the work of a publish or switch under way.

A hold names artifacts and blobs until it is released or nobody has it any more. One that was open while a
sweep ran counts until the end of it: what it protected may have been recorded after the sweep asked what to
keep.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from weakref import WeakSet

from gitdeploy.domain.digest import Digest


class Hold:
    """Open until `release`, the end of its with-block, or the end of its life."""

    def __init__(self, holds: Holds) -> None:
        self._holds = holds
        self.artifacts: set[Digest] = set()
        self.blobs: set[Digest] = set()

    def artifact(self, *roots: Digest) -> None:
        with self._holds.lock:
            self.artifacts.update(roots)

    def blob(self, digest: Digest) -> None:
        with self._holds.lock:
            self.blobs.add(digest)

    def release(self) -> None:
        self._holds.end(self)

    def __enter__(self) -> Hold:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Holds:
    """All open holds of this process, which is the only one that publishes and sweeps."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._sweep = threading.Lock()
        self._open: WeakSet[Hold] = WeakSet()
        self._swept: set[Hold] | None = None  # while a sweep runs: all that were open during it

    def open(self) -> Hold:
        hold = Hold(self)
        with self.lock:
            self._open.add(hold)
            if self._swept is not None:
                self._swept.add(hold)
        return hold

    def end(self, hold: Hold) -> None:
        with self.lock:
            self._open.discard(hold)

    @contextlib.contextmanager
    def sweeping(self) -> Iterator[None]:
        """One sweep at a time; every hold that is open at some time in the block counts until its end."""
        with self._sweep:
            with self.lock:
                self._swept = set(self._open)
            try:
                yield
            finally:
                with self.lock:
                    self._swept = None

    def artifacts(self) -> set[Digest]:
        """All artifacts that are held. Call it while sweeping."""
        with self.lock:
            return set().union(*(hold.artifacts for hold in self._swept or ()))

    def unless_held(self, digest: Digest, remove: Callable[[], int]) -> int | None:
        """What `remove` gives, called unless a hold names `digest`: then None. Call it while sweeping."""
        with self.lock:
            if any(digest in hold.blobs or digest in hold.artifacts for hold in self._swept or ()):
                return None
            return remove()
