"""A build's log: a file that grows, and the threads that read along while it does.

The file is all there is: a log whose build is over, or whose daemon was killed, is simply read.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

_CHUNK = 64 * 1024


class BuildLog:
    """Written by one build, followed by any number of threads. Open it with `with`, or call `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 - closed by close()
        self._grown = threading.Condition()
        self._closed = False

    def write(self, data: bytes) -> None:
        """A full disk loses log lines, never the build: its own files decide whether it fails."""
        try:
            self._file.write(data)
        except OSError:
            return
        with self._grown:
            self._grown.notify_all()

    def line(self, text: str) -> None:
        self.write(text.encode("utf-8", errors="replace") + b"\n")

    def close(self) -> None:
        with self._grown:
            self._closed = True
            self._file.close()
            self._grown.notify_all()

    def follow(self, from_offset: int = 0) -> Iterator[bytes]:
        """What is there, then what comes, until the log is closed. An offset is a number of bytes."""
        with open(self.path, "rb") as file:
            file.seek(from_offset)
            while True:
                with self._grown:
                    closed = self._closed
                    chunk = file.read(_CHUNK)
                    if not chunk and not closed:
                        self._grown.wait()
                        continue
                if not chunk:
                    return
                yield chunk

    def __enter__(self) -> BuildLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read(path: Path, from_offset: int = 0) -> Iterator[bytes]:
    """The log of a build that is over."""
    with open(path, "rb") as file:
        file.seek(from_offset)
        while chunk := file.read(_CHUNK):
            yield chunk
