"""What the person who asked is told while it happens: one line a step, the way `git push` shows it.

-----> production of blog: 9ffc9a1 "New header" by alice
       artifact 4fe2c81a… built on preview feature/checkout, signature ok, reused
=====> live: r42  http://blog.localhost:8480
"""

from __future__ import annotations

from collections.abc import Callable

Write = Callable[[bytes], None]


class Teller:
    """Writes to whoever listens. A listener that went away is forgotten: nobody's work stops for it."""

    def __init__(self, write: Write | None = None) -> None:
        self._write = write

    @property
    def heard(self) -> bool:
        return self._write is not None

    def step(self, text: str) -> None:
        self._line("-----> " + text)

    def detail(self, text: str) -> None:
        self._line("       " + text)

    def done(self, text: str) -> None:
        self._line("=====> " + text)

    def problem(self, text: str, hint: str = "") -> None:
        self._line(" !     " + text)
        if hint:
            self._line(" !     " + hint)

    def raw(self, data: bytes) -> None:
        if self._write is None:
            return
        try:
            self._write(data)
        except OSError:
            self._write = None

    def leave(self) -> None:
        """Say no more to this listener."""
        self._write = None

    def _line(self, text: str) -> None:
        clean = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
        self.raw(clean.encode("utf-8", "backslashreplace") + b"\n")
