"""The record that an environment was pointed at an artifact, and what "previous" means.

pending -> live -> superseded | rolled_back
pending -> failed
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

KINDS = ("deploy", "promote", "rollback", "redeploy", "restore", "config")
FORWARD = ("deploy", "promote", "redeploy")
"""The kinds that bring something new, and so run the release command."""
NOTED = (
    "id", "number", "env", "kind", "commit", "subject", "build", "artifact", "actor", "reason", "created_at",
    "live_at", "origin", "serves", "slot", "config", "data", "schemas", "image",
)  # fmt: skip
"""What the note of a release tells of it: enough to know it again when the ledger is lost."""
BAD = "bad"
"""The mark of a release that was rolled back."""
STATES = ("pending", "live", "superseded", "rolled_back", "failed")


@dataclass(frozen=True)
class Release:
    """A row of the ledger. `number` counts per site; `origin` is the number of the release that first put
    this artifact here (itself, unless this is a rollback). `serves` is files or app; `slot` the slot that serves
    it, its own or that of an earlier release that was still started; `config` the number of the configuration that
    its processes run with, 0 for none; `data` that of the data folder that they write to. `schemas` is the JSON of
    what its databases looked like, by name: the fingerprints `before` and `after` its release command, and the
    verdict on what it changed. `image` is what the swarm runs of it, `REG/name@sha256:…`, and "" where it runs here.
    Times are UTC ISO 8601.
    """

    id: str
    site: str
    number: int
    env: str
    kind: str
    state: str
    commit: str
    subject: str
    build: str
    artifact: str
    actor: str
    created_at: str
    origin: int
    mark: str = ""
    reason: str = ""
    pinned: bool = False
    live_at: str | None = None
    ended_at: str | None = None
    serves: str = "files"
    slot: str = ""
    config: int = 0
    data: int = 1
    schemas: str = "{}"
    image: str = ""

    @property
    def name(self) -> str:
        return f"r{self.number}"

    @property
    def served(self) -> bool:
        return self.live_at is not None


def previous(history: Iterable[Release]) -> Release | None:
    """The release that `rollback/previous` goes to, given one environment's releases in any order.

    Read as a stack: a release that goes live lies on top; a rollback takes off everything above its target,
    because that is what it rejected. Previous is what lies under the top, so rolling back twice goes back
    two, and never lands on what was just rejected. Releases marked bad are passed over.
    Ordered by release number, which is the order of serving: clocks play no part.
    """
    by_number = {release.number: release for release in history if release.served}
    stack: list[int] = []
    for number in sorted(by_number):
        release = by_number[number]
        if release.kind == "rollback" and release.origin in stack:
            del stack[stack.index(release.origin) + 1 :]
        else:
            stack.append(release.origin if release.origin in by_number else number)
    for number in reversed(stack[:-1]):
        candidate = by_number[number]
        if candidate.mark != BAD and candidate.artifact != by_number[stack[-1]].artifact:
            return candidate
    return None


def is_whole(newest: Iterable[Release]) -> bool:
    """Whether `previous`, when it finds one among these newest releases, finds the same among all: no rollback went to
    what came before them.
    """
    releases = list(newest)
    first = min((one.number for one in releases), default=0)
    return all(one.origin >= first for one in releases if one.kind == "rollback")


def goes_back(live: Release, replaced: Release) -> bool:
    """Whether `live` rejects what it `replaced`: a rollback to other files that were here before."""
    back = live.kind == "rollback" and live.origin < replaced.origin
    return back and live.artifact != replaced.artifact


def remarked(history: Iterable[Release], live: Release, replaced: Release | None) -> Mapping[int, str]:
    """The marks, by number, that change when `live` replaces another release of the same environment.

    What a rollback rejects is bad, under every number it served as. What somebody wants live again, by name, is
    not bad any more.
    """
    marks: dict[int, str] = {}
    for one in history:
        if replaced is not None and one.origin == replaced.origin and goes_back(live, replaced):
            marks[one.number] = BAD
        elif one.mark == BAD and live.kind != "config" and live.commit == one.commit:
            marks[one.number] = ""
    return marks


def worth_keeping(history: Iterable[Release], *, keep: int) -> frozenset[int]:
    """The numbers whose bytes retention must not touch: live, pinned, pending, what a rollback would go to,
    and the last `keep` that served. A release that never served counts for nothing.
    """
    releases = sorted(history, key=lambda release: release.number)
    kept = {one.number for one in releases if one.state in ("live", "pending") or one.pinned}
    if (last_good := previous(releases)) is not None:
        kept.add(last_good.number)
    good = [one for one in releases if one.served and one.mark != BAD]
    kept.update(one.number for one in good[-keep:])
    by_number = {one.number: one for one in releases}
    return frozenset(kept | {by_number[n].origin for n in kept if by_number[n].origin in by_number})
