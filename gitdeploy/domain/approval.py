"""Approvals: what is about to go live is looked at by other people first. One is for these very bytes of this commit,
in one environment, and is used up when they go live there.

open -> used | rejected
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from gitdeploy.errors import Busy, Refused

PREFIX = "apr_"


@dataclass(frozen=True)
class Vote:
    """`local` says that it came from the machine itself, where nobody needs a role."""

    actor: str
    at: str
    local: bool = False
    signed: bool = False


@dataclass(frozen=True)
class Approval:
    """A row of the ledger. `actor` asked for it; `authors` is the JSON list of who pushed these bytes; `votes` the JSON
    list of Votes; `reason` is why it was rejected. Times are UTC ISO 8601.
    """

    id: str
    site: str
    env: str
    commit: str
    artifact: str
    build: str
    subject: str
    actor: str
    authors: str
    created_at: str
    state: str = "open"
    votes: str = "[]"
    ended_at: str | None = None
    ended_by: str = ""
    reason: str = ""

    @property
    def cast(self) -> tuple[Vote, ...]:
        return tuple(Vote(**one) for one in json.loads(self.votes))

    @property
    def involved(self) -> frozenset[str]:
        """Those whose approval would be of their own work."""
        return frozenset({self.actor, *json.loads(self.authors)})

    def with_vote(self, vote: Vote) -> str:
        """The JSON of the votes with one more. Raises Refused for somebody's own work, Busy when it is over or they
        have approved already.
        """
        self.check_open()
        if vote.actor in self.involved:
            what = "asked for" if vote.actor == self.actor else "pushed what is asked for in"
            raise Refused(
                f"{vote.actor} {what} {self.id}, and nobody approves their own work.",
                "Ask another maintainer.",
            )
        if any(one.actor == vote.actor for one in self.cast):
            raise Busy(f"{vote.actor} has approved {self.id} already.")
        return json.dumps([asdict(one) for one in (*self.cast, vote)])

    def check_open(self) -> None:
        if self.state != "open":
            why = f": {self.reason}" if self.reason else ""
            raise Busy(f"{self.id} is {self.state} by {self.ended_by}{why}.", "Push again to ask once more.")


def sentence(row: Approval, needed: int, counted: Iterable[Vote]) -> str:
    """What is still missing."""
    names = ", ".join(one.actor for one in counted)
    what = f'{row.commit[:7]} "{row.subject}"'
    has = f", and has that of {names}" if names else ""
    word = "approval" if needed == 1 else "approvals"
    return f"{row.env} of {row.site} needs {needed} {word} of {what}{has}: {row.id}."
