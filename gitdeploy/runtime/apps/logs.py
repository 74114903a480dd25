"""What programs say, line by line with the time: `logs/apps/<site>/<env>/web.1.log`, then `.1` … `.4`.

    2026-11-21T03:22:01.123Z r42 | what the program wrote
    2026-11-21T03:22:01.456Z r42 * web.1 ended with exit code 1, started again in 0.1 s

A program writes into a named pipe and holds its reading end too: so its output goes on when the keeper is
killed, waits for the one that follows, and is lost only when that takes so long that the pipe is full (64 KiB;
then the program waits). Two slots of an environment may write the same file: every write is one append.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from gitdeploy.domain.mask import Masker
from gitdeploy.store import clock
from gitdeploy.user import User

LARGEST = 10 * 1024**2
"""Bytes of one file; the oldest of KEPT older ones goes."""
KEPT = 4
LONGEST_LINE = 16 * 1024
_CHUNK = 64 * 1024


class Log:
    """One file, written to by several keepers at once. A full disk loses lines, never the program."""

    def __init__(self, path: Path, *, largest: int = LARGEST) -> None:
        self._path = path
        self._largest = largest
        self._fd = -1

    def append(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            if not self._is_current():
                self._open()
            if os.fstat(self._fd).st_size >= self._largest:
                self._rotate()
            os.write(self._fd, data)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _is_current(self) -> bool:
        """Whether the name still leads to the open file: another keeper may have moved it on."""
        try:
            return self._fd >= 0 and os.path.samestat(os.fstat(self._fd), self._path.stat())
        except FileNotFoundError:
            return False

    def _open(self) -> None:
        self.close()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def _rotate(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX)  # freed when the file is closed, just below
        if self._is_current():
            for number in range(KEPT, 0, -1):
                with contextlib.suppress(FileNotFoundError):
                    older(self._path, number - 1).rename(older(self._path, number))
        self._open()


class Capture:
    """What a copy of a program writes to `pipe`, put into its log. Made inside a running event loop."""

    def __init__(self, pipe: Path, log: Log, slot: str, user: User | None, masker: Masker) -> None:
        self._pipe = pipe
        self._log = log
        self._slot = slot
        self._masker = masker
        self._held = b""
        if not pipe.is_fifo():
            pipe.unlink(missing_ok=True)
            os.mkfifo(pipe, 0o600)
        if user is not None:
            os.chown(pipe, user.uid, user.gid, follow_symlinks=False)  # for those that open /dev/stdout
        self._fd = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        asyncio.get_running_loop().add_reader(self._fd, self._take)

    @contextlib.contextmanager
    def writing(self) -> Iterator[int]:
        """A descriptor to be the program's output."""
        fd = os.open(self._pipe, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)

    def say(self, text: str) -> None:
        """A line of the keeper's own."""
        self.drain()
        self._write([text.encode(errors="replace")], b"*")

    def drain(self) -> None:
        """Write down what the program has written by now, the beginning of a line too."""
        while self._take():
            pass
        self._held += self._masker.flush()
        if self._held:
            self._write([self._held], b"|")
            self._held = b""

    def close(self) -> None:
        """The pipe goes too: each command that is run once has a name, and so a pipe, of its own."""
        asyncio.get_running_loop().remove_reader(self._fd)
        self.drain()
        os.close(self._fd)
        self._pipe.unlink(missing_ok=True)
        self._log.close()

    def _take(self) -> bool:
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return False
        *lines, self._held = (self._held + self._masker.feed(data)).split(b"\n")
        if len(self._held) > LONGEST_LINE:
            lines, self._held = [*lines, self._held], b""
        if lines:
            self._write(lines, b"|")
        return True

    def _write(self, lines: list[bytes], mark: bytes) -> None:
        before = f"{clock.now()} {self._slot} ".encode() + mark + b" "
        self._log.append(b"".join(before + line.rstrip(b"\r") + b"\n" for line in lines))


def older(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}") if number else path
