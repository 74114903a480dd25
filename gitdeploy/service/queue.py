"""Builds that wait and builds that run: a fair line for a few places, with joining, superseding and cancelling.

A build runs in the thread of whoever asked for it, so there is no pool to manage: asking means waiting for a
place in line. The next place goes to the site with the fewest running builds, then to who came first.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gitdeploy.build.log import BuildLog
from gitdeploy.errors import Failed

HUNG_UP = "the pusher hung up, and asked with cancel-on-hangup for that to count"


class Stopped(Failed):
    """The build did not fail: it was taken off. `state` is what the ledger says of it."""

    def __init__(self, state: str, message: str) -> None:
        super().__init__(message)
        self.state = state


@dataclass(eq=False)
class Job:
    """One build on its way. `stop` says why it must end: `canceled`, `superseded`; empty while it may go on.
    `own_reason`: what ends it concerns only who asked first, so others who wait for it may ask again.
    """

    id: str
    site: str
    ref: str
    key: str
    log: BuildLog
    cancel: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)
    stop: str = ""
    why: str = ""
    own_reason: bool = False


@dataclass(frozen=True)
class Leash:
    """Asked by a running build whether it must end: it was taken off, or its pusher hung up and that counts."""

    queue: BuildQueue
    job: Job
    gone: Callable[[], bool]

    def is_set(self) -> bool:
        if not self.job.stop and self.gone():
            self.queue.cancel(self.job.id, HUNG_UP, own_reason=True)
        return self.job.cancel.is_set()


class BuildQueue:
    def __init__(self, places: int) -> None:
        self._places = places
        self._changed = threading.Condition()
        self._waiting: list[Job] = []
        self._running: list[Job] = []
        self._jobs: dict[str, Job] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._closed = ""
        self.stopping = threading.Event()

    def join_or_begin(self, key: str, site: str, begin: Callable[[], Job]) -> tuple[Job, bool]:
        """The job that already makes `key`, or the new one from `begin`; and whether it is new."""
        with self._changed:
            for job in self._jobs.values():
                if key and job.key == key and job.site == site and not job.stop:
                    return job, False
            job = begin()
            self._jobs[job.id] = job
            return job, True

    @contextlib.contextmanager
    def place(self, job: Job, *, waits: Callable[[int], None], gone: Callable[[], bool]) -> Iterator[None]:
        """Hold one of the places while the block runs. `waits(n)` is told when n builds are ahead.

        Raises Stopped when the job is canceled or superseded while it waits. Call `leave` when all is said of it.
        """
        try:
            with self._changed:
                self._waiting.append(job)
                self._check(job, gone)
                if self._next() is not job:
                    waits(len(self._running) + len(self._waiting) - 1)
                while self._next() is not job:
                    self._changed.wait(timeout=0.5)
                    self._check(job, gone)
                self._waiting.remove(job)
                self._running.append(job)
            yield
        finally:
            with self._changed:
                for group in (self._waiting, self._running):
                    if job in group:
                        group.remove(job)
                self._changed.notify_all()

    def leave(self, job: Job) -> None:
        """It is over, and the ledger says how: whoever follows it or waits for its end goes on."""
        with self._changed:
            self._jobs.pop(job.id, None)
        job.log.close()
        job.done.set()

    def cancel(self, build: str, why: str, *, own_reason: bool = False) -> bool:
        """Stop a waiting or running build; False when there is no such build under way."""
        with self._changed:
            job = self._jobs.get(build)
            if job is None:
                return False
            job.own_reason = own_reason
            self._stop(job, "canceled", why)
            return True

    def cancel_all(self, why: str) -> None:
        """Stop every build, and those that would begin after it."""
        with self._changed:
            self._closed = why
            for job in self._jobs.values():
                self._stop(job, "canceled", why)

    def resize(self, places: int) -> None:
        with self._changed:
            self._places = places
            self._changed.notify_all()

    def supersede(self, site: str, ref: str, but: str) -> None:
        """A newer push to `ref` came: builds of it that still wait are taken off; running ones finish."""
        with self._changed:
            for job in [one for one in self._waiting if (one.site, one.ref) == (site, ref) and one.id != but]:
                job.own_reason = True
                self._stop(job, "superseded", "a newer push to the branch takes its place")

    @property
    def load(self) -> tuple[int, int]:
        """How many builds wait, and how many run."""
        with self._changed:
            return len(self._waiting), len(self._running)

    def of(self, build: str) -> Job | None:
        with self._changed:
            return self._jobs.get(build)

    def track(self, work: Callable[[], object], name: str = "") -> threading.Thread:
        """Do `work` in a thread that a graceful stop waits for. While one of that name runs it is not done twice:
        the thread that does it is returned.
        """
        with self._changed:
            self._threads = {key: one for key, one in self._threads.items() if one.is_alive()}
            if (known := self._threads.get(name)) is not None:
                return known
            own = contextvars.copy_context()  # it stays part of what it is begun by
            thread = threading.Thread(target=own.run, args=(work,), name=name or None, daemon=True)
            self._threads[thread.name] = thread
            thread.start()
            return thread

    def drain(self, seconds: float) -> bool:
        """Wait for the tracked threads to end; says whether all did in time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with self._changed:
                running = [one for one in self._threads.values() if one.is_alive()]
            if not running:
                return True
            running[0].join(timeout=min(0.5, seconds))
        return False

    def _next(self) -> Job | None:
        if len(self._running) >= self._places or not self._waiting:
            return None
        load = Counter(job.site for job in self._running)
        return min(self._waiting, key=lambda job: load[job.site])

    def _check(self, job: Job, gone: Callable[[], bool]) -> None:
        if self._closed:
            self._stop(job, "canceled", self._closed)
        elif gone():
            job.own_reason = True
            self._stop(job, "canceled", HUNG_UP)
        if job.stop:
            raise Stopped(job.stop, f"The build was {job.stop}: {job.why}.")

    def _stop(self, job: Job, state: str, why: str) -> None:
        job.stop, job.why = state, why
        job.cancel.set()
        self._changed.notify_all()
