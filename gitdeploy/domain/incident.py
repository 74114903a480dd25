"""An incident: a note on a release that had to be rolled back, and the gate of boxes that says when it is over."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from typing_extensions import TypedDict

from gitdeploy.errors import Invalid

LONGEST = 100_000  # characters of a note
ROBOT = "gitdeploy"
"""Who ticked a box because it is so, not because somebody said so."""


@dataclass(frozen=True)
class Box:
    """`who` ticks it: a robot by what it sees, a human, or both."""

    name: str
    who: str
    says: str


GATE = (
    Box("restored", "robot", "production serves a release that worked"),
    Box("verified", "human", "somebody looked: it loads, no new errors, people can do what they came for"),
    Box("database", "both", "data is right: nothing to undo, or undone, or restored"),
    Box("documented", "human", "the note says what happened, why, and what follows from it"),
    Box("fix", "robot", "the real fix is queued: a pushed commit names this incident or the bad commit"),
)


@dataclass(frozen=True)
class Incident:
    """A row of the ledger. `facts` is written by gitdeploy, `text` by people. JSON: `rollbacks` and `rejected` are
    release numbers, `commits` the ids that came with what was rejected, `ticks` holds `{by, at}` for each ticked box.
    `fix` is the commit that answers it, `fixed_by` the number of the release that brought it to production.
    """

    site: str
    number: int
    state: str
    created_at: str
    actor: str
    rollbacks: str
    rejected: str
    commits: str
    ticks: str
    facts: str
    text: str
    fix: str = ""
    fixed_by: int | None = None
    closed_at: str | None = None
    closed_by: str | None = None

    @property
    def name(self) -> str:
        return f"incident {self.number}"

    @property
    def ticked(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = json.loads(self.ticks)
        return found

    @property
    def unticked(self) -> list[Box]:
        return [box for box in GATE if box.name not in self.ticked]

    @property
    def fix_is_settled(self) -> bool:
        """The fix is live; or a person has said that there is nothing to wait for."""
        return self.fixed_by is not None or self.ticked.get("fix", {"by": ROBOT})["by"] != ROBOT

    @property
    def is_done(self) -> bool:
        return not self.unticked and self.fix_is_settled


def check_boxes(names: Iterable[str]) -> None:
    """Raises Invalid unless each is a box of the gate."""
    known = [box.name for box in GATE]
    for name in names:
        if name not in known:
            raise Invalid(f"{name[:40]!r} is no box of the gate.", f"The boxes are: {', '.join(known)}.")


def refers(message: str, number: int, commits: Collection[str]) -> bool:
    """Whether a commit's message names the incident (`Fixes incident 3`) or one of `commits`, by 7 or more digits."""
    if re.search(rf"\bincident[ -]?#?{number}\b", message, re.IGNORECASE):
        return True
    said = set(re.findall(r"\b[0-9a-f]{7,40}\b", message.lower()))
    return any(commit.startswith(word) for word in said for commit in commits)


class Ticked(TypedDict):
    name: str
    who: str
    says: str
    ticked: bool
    by: str | None
    at: str | None


def gate(ticks: Mapping[str, Mapping[str, str]]) -> list[Ticked]:
    """Every box with how it stands."""
    return [
        {"name": box.name, "who": box.who, "says": box.says, "ticked": box.name in ticks,
         "by": ticks.get(box.name, {}).get("by"), "at": ticks.get(box.name, {}).get("at")}
        for box in GATE
    ]  # fmt: skip


def plain(text: str) -> str:
    """Text that a terminal can be shown: what strangers wrote into commits and logs holds no control characters."""
    lines = text.replace("\r\n", "\n")
    return "".join(
        one if one.isprintable() or one in "\n\t" else "\N{REPLACEMENT CHARACTER}" for one in lines
    )
