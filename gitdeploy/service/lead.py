"""May this server act? With `[standby]` only while it knows that no other has been promoted in its place.

It looks at the claims in the place every quarter of its lease. A look counts from when it was begun, so a server that
cannot reach the place, or was held up, stops by itself when the lease is over, and one that sees a greater claim never
acts again.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from gitdeploy.domain.term import Claim
from gitdeploy.errors import Busy, Failed, GitdeployError, Refused
from gitdeploy.store import durable, ids
from gitdeploy.store.home import Home
from gitdeploy.store.terms import Terms

log = logging.getLogger("gitdeploy.standby")
PREFIX = "srv"
FIRST_LOOK = 5.0
"""Seconds that a start waits for the place before it opens its doors and refuses."""


class Lead:
    """Without `terms` there is nobody else, and all may be done. `settled` says that the server began as one that may
    act, so that its start has put in order what a crash left.
    """

    def __init__(self, terms: Terms | None = None, home: Home | None = None, lease: float = 0.0) -> None:
        self._terms = terms
        self._home = home
        self._lease = lease
        self._mine: Claim | None = None
        self._new = False  # it is held, and not for long enough yet
        self._written = False
        self._since = 0.0  # a claim of our own counts from then on
        self._seen = float("-inf")  # when the last look that found no greater claim was begun
        self.overtaken: Claim | None = None
        self.stranger = False
        self.failure = ""
        self.looked = threading.Event()
        self.settled = terms is None

    @property
    def claim(self) -> Claim | None:
        return self._mine

    @property
    def may(self) -> bool:
        return self.settled and self.confirmed

    @property
    def confirmed(self) -> bool:
        if self._terms is None:
            return True
        now = elapsed()
        return self.overtaken is None and self._since <= now < self._seen + self._lease

    def need(self) -> None:
        """Raises Refused once another server acts, Busy while it cannot be known whether one does."""
        if self.may:
            return
        assert self._terms is not None
        if self.overtaken is not None:
            raise Refused(*self._why_not(self.overtaken))
        if self.confirmed or elapsed() < self._since:
            raise Busy(
                "The server makes sure that no other acts; that takes a moment.", "Try again.", again=5
            )
        raise Busy(
            f"{self._terms.name} does not answer, so this server cannot know whether another was promoted in its "
            "place, and changes nothing. Sites are served on.",
            "Once it answers this goes on by itself; see: gitdeploy doctor", again=10,
        )  # fmt: skip

    def look(self) -> None:
        """Ask the place. Raises Failed when it does not answer, or does not know this server's claim."""
        assert self._terms is not None and self._home is not None
        began = elapsed()
        try:
            claims = self._terms.claims()
            if self._mine is None:
                self._mine = self._own(claims, self._home, began)
            if self._mine is not None and not self._written and (self._new or self._mine in claims):
                self._terms.write(self._mine)
                self._written = True
                claims = self._terms.claims()
            if self._mine is not None and self._mine not in claims:
                raise Failed(
                    f"{self._terms.name} does not know this server any more.",
                    "Is it mounted, and the right one? If it was emptied, remove `term` in the home of the server "
                    "that acts.",
                )
            if self._mine is None or claims[-1] > self._mine:
                self.overtaken, self.stranger = self._terms.read(claims[-1]), self._mine is None
            else:
                self._seen = began
                if self._new and began >= self._since:
                    hold(self._home, self._mine)
                    self._new = False
            self.failure = ""
        except GitdeployError as error:
            self.failure = error.message
            raise
        finally:
            self.looked.set()

    def run(self, ending: threading.Event, begin: Callable[[], None]) -> None:
        """Look until `ending` is set. `begin` is called, once, when it may act and did not begin as one that may."""
        said = ""
        self._try(said)
        while not ending.wait(timeout=self._lease / 4):
            said = self._try(said)
            if not self.settled and self.confirmed:
                begin()
                return

    def _try(self, said: str) -> str:
        """What is wrong is logged once."""
        try:
            self.look()
            now, hint = self._why_not(self.overtaken) if self.overtaken is not None else ("", "")
        except GitdeployError as error:
            now, hint = error.message, error.hint
        except Exception as error:
            now, hint = repr(error), ""
        if now and now != said:
            log.error("%s %s", now, hint)
        return now

    def _own(self, claims: list[Claim], home: Home, began: float) -> Claim | None:
        """What was claimed for this home; the first server of all claims by itself, and only until that is old enough
        may a claim be missing in the place: whose claim is missing later looks at the wrong place.
        """
        name = held(home)
        if not name and claims:
            return None
        if not name:
            hold(home, Claim(1, ids.new(PREFIX)), new=True)
        mine = replace(Claim.named(held(home)), host=socket.gethostname(), lease=self._lease)
        self._new = _is_new(home)
        if self._new:
            self._since = began + mine.wait
        return mine

    def _why_not(self, other: Claim) -> tuple[str, str]:
        said = f"Another server acts now: {other.host}, in term {other.number}. Nothing is changed here."
        if self.stranger:
            return said, "Follow it with another home; or if it is gone for good: gitdeploy standby promote"
        return (
            said,
            f"Push to {other.host}; to have this machine follow it, see: gitdeploy standby follow --help",
        )


def elapsed() -> float:
    """Seconds, also those in which the machine slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def held(home: Home) -> str:
    """The name of the claim that this home has made good; "" without one."""
    return next(iter(_term(home)), "")


def hold(home: Home, claim: Claim, *, new: bool = False) -> None:
    """`new` while it may be that nobody else has seen it."""
    durable.write_file(home.term, f"{claim.name}{' new' * new}\n".encode())


# Private


def _is_new(home: Home) -> bool:
    return _term(home)[1:] == ["new"]


def _term(home: Home) -> list[str]:
    try:
        return home.term.read_text().split()
    except FileNotFoundError:
        return []
