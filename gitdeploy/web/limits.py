"""How often somebody may try: wrong secrets lock their address out for longer each time, forms come at a human pace."""

from __future__ import annotations

import ipaddress
import math
import threading
import time

from gitdeploy.domain.units import roughly
from gitdeploy.errors import Busy

_FREE = 5  # wrong secrets that cost nothing
_LONGEST = 15 * 60.0  # seconds that somebody is locked out at a time
_FORGET = 24 * 3600.0  # seconds after which an address begins anew
_MOST = 10_000  # addresses and sessions that are remembered


class TooMany(Busy):
    code = "too_many"
    http_status = 429

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(
            message, f"Try again in {roughly(max(seconds, 1))}.", again=math.ceil(max(seconds, 1))
        )


class Lockout:
    """Call `check` before a secret is looked at, then `wrong` or `right`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wrong: dict[str, tuple[int, float]] = {}  # how many in a row, and when the last came

    def check(self, address: str) -> None:
        """Raises TooMany while the address is locked out."""
        with self._lock:
            count, last = self._wrong.get(_network(address), (0, 0.0))
        wait = min(2.0 ** (count - _FREE + 1), _LONGEST) if count >= _FREE else 0.0
        left = last + wait - time.monotonic()
        if left > 0:
            raise TooMany("Too many wrong tries from this address.", left)

    def wrong(self, address: str) -> None:
        now = time.monotonic()
        with self._lock:
            count, last = self._wrong.pop(_network(address), (0, now))
            self._wrong[_network(address)] = (count + 1 if now - last < _FORGET else 1, now)
            while len(self._wrong) > _MOST:
                del self._wrong[next(iter(self._wrong))]

    def right(self, address: str) -> None:
        with self._lock:
            self._wrong.pop(_network(address), None)


class Pace:
    """`most` at once, then `per_second`."""

    def __init__(self, most: int = 40, per_second: float = 1.0) -> None:
        self._most = float(most)
        self._per_second = per_second
        self._lock = threading.Lock()
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, who: str) -> None:
        """Raises TooMany when `who` is faster than that."""
        now = time.monotonic()
        with self._lock:
            left, last = self._left.pop(who, (self._most, now))
            left = min(self._most, left + (now - last) * self._per_second)
            self._left[who] = (max(left - 1, 0.0) if left >= 1 else left, now)
            while len(self._left) > _MOST:
                del self._left[next(iter(self._left))]
        if left < 1:
            raise TooMany("That was too much at once.", (1 - left) / self._per_second)


def _network(address: str) -> str:
    """Who has one IPv6 address has 2**64 of them."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else address
