"""Reading what programs have said: the last lines of one log or of several together, and what comes."""

from __future__ import annotations

import contextlib
import heapq
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from gitdeploy.runtime.apps.logs import KEPT, older

_CHUNK = 64 * 1024
_PAUSE = 0.1  # seconds between two looks at a file that may grow


def tail(path: Path, count: int) -> list[str]:
    """The last `count` lines, oldest first, as far as they are in the log and the one before it."""
    lines: list[bytes] = []
    for number in range(KEPT + 1):
        if len(lines) >= count:
            break
        with contextlib.suppress(FileNotFoundError):
            lines = _ends_with(older(path, number), count - len(lines)) + lines
    return [line.decode(errors="replace") for line in lines]


def said(lines: list[str], slot: str) -> list[str]:
    """What the program itself said in `slot`, without the time."""
    parts = (line.split(" ", 3) for line in lines)
    return [part[3] for part in parts if len(part) == 4 and part[1:3] == [slot, "|"]]


def together(files: Sequence[Path], count: int) -> list[str]:
    """The last `count` lines of several logs in the order of their times, each with the name of its log:
    `2026-11-21T03:22:01.123Z r42 web.1 | …`.
    """
    merged = heapq.merge(*([_named(line, file) for line in tail(file, count)] for file in files), key=_moment)
    return list(merged)[-count:]


def follow(folder: Path, chosen: str = "*", *, from_end: bool = True) -> Iterator[list[str]]:
    """What is written to the logs in `folder` whose names match `chosen`, as `together` tells it: from now on, or with
    `from_end` false from their beginning. Now and then it is an empty list, so that whoever reads can stop.
    """
    readers = {file: _Growing(file, from_end=from_end) for file in listed(folder, chosen)}
    while True:
        for file in listed(folder, chosen):
            readers.setdefault(file, _Growing(file, from_end=False))
        found = [_named(line, file) for file, one in readers.items() for line in one.lines()]
        yield sorted(found, key=_moment)
        if not found:
            time.sleep(_PAUSE)


def listed(folder: Path, chosen: str = "*") -> list[Path]:
    """The logs of programs in a folder, by name; `chosen` is `web.1`, or `web` for all its copies."""
    return sorted({*folder.glob(f"{chosen}.log"), *folder.glob(f"{chosen}.*.log")} - {folder / "keeper.log"})


class _Growing:
    """A log that is read on, also when it was moved on for a new one."""

    def __init__(self, path: Path, *, from_end: bool) -> None:
        self._path = path
        self._file = open(path, "rb")  # noqa: SIM115 - as long as it is followed
        self._held = b""
        if from_end:
            self._file.seek(0, os.SEEK_END)

    def lines(self) -> list[str]:
        data = self._held + self._file.read()
        if not data.endswith(b"\n"):
            with contextlib.suppress(FileNotFoundError):
                if not os.path.samestat(os.fstat(self._file.fileno()), self._path.stat()):
                    self._file.close()
                    self._file = open(self._path, "rb")  # noqa: SIM115
                    data += self._file.read()
        *lines, self._held = data.split(b"\n")
        return [line.decode(errors="replace") for line in lines]


def _moment(line: str) -> str:
    return line.partition(" ")[0]


def _named(line: str, file: Path) -> str:
    moment, _, rest = line.partition(" ")
    slot, _, rest = rest.partition(" ")
    return f"{moment} {slot} {file.name.removesuffix('.log')} {rest}"


def _ends_with(path: Path, count: int) -> list[bytes]:
    with open(path, "rb") as file:
        at = file.seek(0, os.SEEK_END)
        data = b""
        while at and data.count(b"\n") <= count:
            step = min(at, _CHUNK)
            at -= step
            file.seek(at)
            data = file.read(step) + data
    return data.splitlines()[-count:]
