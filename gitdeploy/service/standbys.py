"""Who follows this server, and how far behind each is; known to the running server alone, by its own clock."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from gitdeploy.service.lead import elapsed

_REMEMBERED = 1000  # shipments


@dataclass
class Standbys:
    """`failure` is what keeps changes from being shipped."""

    failure: str = ""
    _followers: dict[str, tuple[str, str]] = field(default_factory=dict)  # host and what it has, by server
    _shipments: dict[str, float] = field(default_factory=dict)  # since when what is new in it was waiting
    _unshipped: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def changed(self) -> None:
        """There is something that no shipment has."""
        with self._lock:
            if self._unshipped is None:
                self._unshipped = elapsed()

    def shipped(self, id: str) -> None:
        with self._lock:
            self._shipments[id] = self._unshipped or elapsed()
            self._unshipped = None
            while len(self._shipments) > _REMEMBERED:
                del self._shipments[next(iter(self._shipments))]

    def heard(self, followers: Mapping[str, tuple[str, str]]) -> None:
        with self._lock:
            self._followers = dict(followers)

    def lags(self) -> dict[str, float]:
        """By host, since how many seconds there is something that its standby lacks; 0 when it lacks nothing."""
        now = elapsed()
        with self._lock:
            return {host: now - self._since(applied, now) for host, applied in self._followers.values()}

    def _since(self, applied: str, now: float) -> float:
        later = [since for id, since in self._shipments.items() if id > applied]
        return min(later) if later else now if self._unshipped is None else self._unshipped
