"""Where events are told to: which of them, in which form, and what came of each attempt.

One event after the other. What cannot be delivered is tried again, each time later, for about a day; then it is given
up, and what came after it has its turn.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from typing_extensions import TypedDict

from gitdeploy.domain import globs
from gitdeploy.domain.event import Event
from gitdeploy.errors import Invalid

DAY = 24 * 3600.0
"""Seconds for which an event is tried."""
KEPT = 100
"""Deliveries of a webhook that are kept."""
_FIRST, _LONGEST = 5.0, 3600.0
_NEWS = (
    "release.live", "release.failed", "build.failed", "schedule.refused", "incident.*", "cutover.*",
    "snapshot.not_proven", "snapshot.failed", "snapshot.copy_failed", "cron.failed", "webhook.given_up",
)  # fmt: skip
_COMMITS = ("build.*", "release.live", "release.failed")
FORMATS: Mapping[str, tuple[str, ...]] = {
    "json": ("*",), "slack": _NEWS, "mail": tuple(one for one in _NEWS if one != "build.failed"), "github": _COMMITS,
    "gitlab": _COMMITS, "gitea": _COMMITS,
}  # fmt: skip
"""By name the events that are told when nobody says which."""
FORGES = ("github", "gitlab", "gitea")


@dataclass(frozen=True)
class Webhook:
    """A row of the ledger. `site` is None for all sites. `place` is where it leads, without what is secret; `sealed`
    holds the address, the signing secret and the token. `cursor` is the number of the last event it is done with.
    While it fails: `attempts` in a row, `failing_since`, `next_at`, and what was wrong last.
    """

    id: str
    site: str | None
    format: str
    place: str
    patterns: str  # JSON
    sealed: bytes
    created_at: str
    actor: str
    cursor: int
    attempts: int = 0
    failing_since: str | None = None
    next_at: str | None = None
    error: str = ""

    @property
    def events(self) -> list[str]:
        found: list[str] = json.loads(self.patterns)
        return found

    def wants(self, event: Event) -> bool:
        """Never what is said of itself: that would never end."""
        own = event.subject == self.id and event.action.startswith("webhook.")
        return not own and any(globs.matches(one, event.action) for one in self.events)


class Asked(TypedDict, total=False):
    """What was sent, without what is secret; nothing of an event that was not sent."""

    method: str
    url: str
    headers: dict[str, str]
    body: str


@dataclass(frozen=True)
class Delivery:
    """A row of the ledger: one attempt to tell one event. `state` is delivered, failed, refused (this event is not
    tried again) or given_up; `cause` is event, test or redelivery; `status` the answer's, if there was one.
    """

    id: str
    webhook: str
    event: str
    action: str
    at: str
    state: str
    cause: str
    attempt: int
    seconds: float
    status: int | None = None
    error: str = ""
    request: str = "{}"  # JSON: method, url, headers, body
    answer: str = ""

    @property
    def asked(self) -> Asked:
        found: Asked = json.loads(self.request)
        return found


def wait(attempts: int) -> float:
    """Seconds until the next attempt, after so many in a row that failed: 5, 10, 20 … 3600."""
    return min(_LONGEST, _FIRST * 2.0 ** (min(attempts, 30) - 1))


def patterns(said: Iterable[str], format: str) -> str:
    """JSON of the patterns. Raises Invalid for what can match no event."""
    found = [*said] or [*FORMATS[format]]
    for one in found:
        if not one or len(one) > 80 or not set(one) <= set("abcdefghijklmnopqrstuvwxyz._*?"):
            raise Invalid(
                f"{one[:40]!r} is no pattern for events.", 'Say "release.*", "build.failed", or "*".'
            )
    return json.dumps(found)


def address(text: str, format: str) -> SplitResult:
    """Where to send to. Raises Invalid: `mail` takes mailto:ops@example.org, a forge the address of the repository."""
    if format not in FORMATS:
        raise Invalid(f"{format[:40]!r} is no format.", f"The formats are {', '.join(FORMATS)}.")
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if format == "mail":
        if (
            parts.scheme != "mailto"
            or parts.path.count("@") != 1
            or not parts.path.isprintable()
            or " " in text
        ):
            raise Invalid(f"{text[:80]!r} is no mail address.", "Say: mailto:ops@example.org")
        return parts
    if parts.scheme not in ("http", "https") or not parts.hostname or not text.isprintable() or " " in text:
        raise Invalid(f"{text[:80]!r} is no address.", "Say: https://example.org/hooks/deploys")
    if format in FORGES and (parts.username or len([one for one in parts.path.split("/") if one]) < 2):
        raise Invalid(f"{text[:80]!r} is no repository.", f"Say: https://{parts.hostname}/owner/name")
    return parts


def shown(parts: SplitResult, format: str) -> str:
    """The address without what may be secret in it: user, password and query; of Slack also the path."""
    if format == "mail":
        return parts.geturl()
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{'/…' if format == 'slack' else parts.path}"
