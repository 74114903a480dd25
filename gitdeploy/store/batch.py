"""Many files that become durable together: written aside, flushed at once, and only then given their names.

A file that has its name is whole, whatever was killed or lost power in between: what lies aside is nobody's,
and is removed when the next batch opens. A kernel lock tells a dead batch from a living one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import threading
from pathlib import Path
from types import TracebackType

from gitdeploy.store import durable


class Incoming:
    """The folder in which batches lie aside; on the file system of what they make."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()

    def open(self) -> Batch:
        """A new batch; what dead ones left behind is removed first."""
        with self._lock:
            self._tidy()
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                folder = self.folder / secrets.token_hex(8)
                folder.mkdir(mode=0o755)
            except OSError as error:
                raise durable.said(error, self.folder) from error
            return Batch(folder, _lock(folder))

    def tidy(self) -> None:
        """Remove what batches left behind whose process died."""
        with self._lock:
            self._tidy()

    def _tidy(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            for left in list(self.folder.iterdir()):
                try:
                    fd = _lock(left)
                except BlockingIOError:
                    continue
                shutil.rmtree(left, ignore_errors=True)
                os.close(fd)


class Batch:
    """Use in a with-block. What was not committed when it ends is removed."""

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self._aside = str(folder)
        self._lock = lock
        self._names: dict[str, str] = {}
        self._count = 0

    def path(self) -> str:
        """A path to write the next file at, or make the next folder at."""
        self._count += 1
        return f"{self._aside}/{self._count}"

    def name(self, path: str, final: str) -> None:
        """Have the file at `path` called `final` by the next `commit`; an equal name gives way."""
        self._names[path] = final

    def commit(self) -> None:
        """Flush what was written, then name it, then flush the names. Raises Failed."""
        if not self._names:
            return
        try:
            durable.flush(self._names.keys(), self.folder)
            durable.flush(self._rename(), self.folder)
        except OSError as error:
            raise durable.said(error, self.folder) from error

    def __enter__(self) -> Batch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)

    def _rename(self) -> set[str]:
        """Give the files their names; returns the folders that changed by it."""
        touched: set[str] = set()
        for path, final in list(self._names.items()):
            folder = final.rpartition("/")[0]
            try:
                os.rename(path, final)  # noqa: PTH104 (20,000 times a batch, and both are text)
            except FileNotFoundError:
                os.makedirs(folder, exist_ok=True)  # noqa: PTH103
                touched.update(map(str, Path(folder).parents[:2]))
                os.rename(path, final)  # noqa: PTH104
            touched.add(folder)
            del self._names[path]
        return touched


def create(path: str, content: bytes, *, mode: int, mtime: int) -> None:
    """Make a file of `content` with exactly this mode and modification time (in seconds)."""
    fd = open_new(path)
    try:
        write(fd, content, path)
        finish(fd, path, mode=mode, mtime=mtime)
    finally:
        os.close(fd)


def open_new(path: str) -> int:
    """The descriptor of a new file, to be written with `write` and ended with `finish`."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise durable.said(error, Path(path)) from error


def write(fd: int, content: bytes, path: str) -> None:
    try:
        done = os.write(fd, content) if content else 0
        while done < len(content):
            done += os.write(fd, memoryview(content)[done:])
    except OSError as error:
        raise durable.said(error, Path(path)) from error


def finish(fd: int, path: str, *, mode: int, mtime: int) -> None:
    try:
        os.fchmod(fd, mode)
        os.utime(fd, (mtime, mtime))
    except OSError as error:
        raise durable.said(error, Path(path)) from error


def _lock(folder: Path) -> int:
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(fd)
        raise
    return fd
