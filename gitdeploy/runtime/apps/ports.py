"""A port of 127.0.0.1 for each copy of `web`, which no other slot of the machine can be given meanwhile.

A port is nobody's between being chosen and being listened on, and again after a crash. So it is claimed: by an
abstract unix socket named after it, which the kernel keeps unique where ports are (in the network namespace)
and frees when the keeper dies. Below the range of outgoing connections (32768 and up) none can take it either.
"""

from __future__ import annotations

import os
import socket

from gitdeploy.errors import Failed

FIRST, COUNT = 20000, 12000


class Port:
    """A claimed port; `release` gives it back."""

    def __init__(self, number: int) -> None:
        """Raises OSError when another slot has it."""
        self.number = number
        self._claim = socket.socket(socket.AF_UNIX)
        try:
            self._claim.bind(f"\0gitdeploy-port-{number}")
        except OSError:
            self._claim.close()
            raise

    def release(self) -> None:
        self._claim.close()


def claim() -> Port:
    """A port that nobody listens on. Raises Failed when there is none."""
    begin = int.from_bytes(os.urandom(4), "big")
    for step in range(COUNT):
        number = FIRST + (begin + step) % COUNT
        try:
            port = Port(number)
        except OSError:
            continue
        if _is_free(number):
            return port
        port.release()
    raise Failed("No port is free for the app.", f"Ports {FIRST} to {FIRST + COUNT} are all in use.")


def _is_free(number: int) -> bool:
    with socket.socket() as trial:
        try:
            trial.bind(("", number))
        except OSError:
            return False
    return True
