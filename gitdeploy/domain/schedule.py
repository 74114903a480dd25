"""An order that waits for its hour."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from gitdeploy.domain.release import Release
from gitdeploy.errors import Invalid

VERBS = ("push", "promote", "rollback", "redeploy", "clone")
LATEST = 3600.0
"""Seconds after its hour within which an order is still carried out."""
_HARMLESS = ("config", "restore")
"""Kinds of releases after which what was scheduled is still what was meant: the code is the same."""


@dataclass(frozen=True)
class Schedule:
    """A row of the ledger. `options` is the JSON list of push options; `ref` and `commit` are those of a push; `live`
    the number of the release that `env` served when it was filed, 0 for none; `local` says that it came from the
    machine itself. States: `waiting running done refused canceled`; `said` is what came of it. Times are UTC ISO 8601.
    """

    id: str
    site: str
    env: str
    verb: str
    target: str
    options: str
    actor: str
    local: bool
    at: str
    created_at: str
    live: int
    ref: str = ""
    commit: str = ""
    state: str = "waiting"
    said: str = ""
    ended_at: str | None = None

    @property
    def order(self) -> str:
        """As it would be pushed."""
        return f"{self.commit[:7]} to {self.target}" if self.verb == "push" else f"{self.verb}/{self.target}"


def superseding(served: Iterable[Release], live: int) -> Release | None:
    """The first release that went live after `live` and makes what was meant then something else."""
    later = [one for one in served if one.number > live and one.served and one.kind not in _HARMLESS]
    return min(later, key=lambda one: one.number, default=None)


def moment(text: str) -> str:
    """`2026-11-01T02:00+01:00` as UTC ISO 8601. Raises Invalid for what is no moment or has no zone."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(f"{text[:40]!r} is not a time.", "Say: at=2026-11-01T02:00+01:00") from None
    if found.tzinfo is None:
        raise Invalid(f"{text[:40]!r} does not say its zone.", f"Say: at={text[:40]}+01:00, or …Z for UTC.")
    return found.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
