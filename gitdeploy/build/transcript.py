"""From the raw output of a build to its log: readable lines, secrets masked, and not without end."""

from __future__ import annotations

import codecs
import re
from collections import deque
from collections.abc import Callable, Iterable

from gitdeploy.domain.mask import Masker
from gitdeploy.domain.units import print_size

MOST = 8 * 1024**2
TAIL = 64 * 1024
LONGEST_LINE = 16 * 1024

# ECMA-48: control sequences, control strings, the other escapes, then the single control characters.
_ESCAPE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
)


class Transcript:
    """`feed` raw bytes as they come; `log` gets whole lines of UTF-8 as soon as they are complete.

    After `most` bytes only the last `TAIL` bytes are kept and given at the end: errors stand there.
    """

    def __init__(self, log: Callable[[bytes], None], secrets: Iterable[str], *, most: int = MOST) -> None:
        self._log = log
        self._masker = Masker(secrets)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._partial = ""
        self._left = most
        self._most = most
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._skipped = 0

    def feed(self, chunk: bytes) -> None:
        *lines, self._partial = (self._partial + self._decoder.decode(chunk)).split("\n")
        while len(self._partial) > LONGEST_LINE:
            lines.append(self._partial[:LONGEST_LINE])
            self._partial = self._partial[LONGEST_LINE:]
        if lines:
            self._give("".join(_readable(line) + "\n" for line in lines))

    def say(self, line: str) -> None:
        """A line of our own, even when the build has used up its share."""
        self._end_line()
        self._emit(self._masker.flush())
        self._log(line.encode() + b"\n")

    def close(self) -> None:
        """Give what is left."""
        self._end_line()
        self._emit(self._masker.flush())
        if self._skipped > self._tail_size:
            left_out = print_size((self._skipped - self._tail_size) // 1024 * 1024)
            self._log(f"[{left_out} of output left out: a log holds {print_size(self._most)}]\n".encode())
        for piece in self._tail:
            self._log(piece)
        self._tail.clear()
        self._skipped = self._tail_size = 0

    def _end_line(self) -> None:
        rest, self._partial = self._partial + self._decoder.decode(b"", final=True), ""
        self._decoder.reset()
        if rest:
            self._give(_readable(rest) + "\n")

    def _give(self, text: str) -> None:
        self._emit(self._masker.feed(text.encode("utf-8", errors="replace")))

    def _emit(self, data: bytes) -> None:
        if not data:
            return
        if len(data) <= self._left:
            self._left -= len(data)
            self._log(data)
            return
        self._left = 0
        self._skipped += len(data)
        self._tail.append(data)
        self._tail_size += len(data)
        while self._tail_size - len(self._tail[0]) >= TAIL:
            self._tail_size -= len(self._tail.popleft())


def _readable(line: str) -> str:
    """As a terminal would leave it: what a progress bar wrote over is gone, and so are control codes."""
    return _ESCAPE.sub("", line.rstrip("\r").rpartition("\r")[2])
