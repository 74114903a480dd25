"""The files that programs of an environment keep, read while they go on writing.

What programs write is not trusted: no link is followed, and what is neither file, folder nor link is left out.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass
from pathlib import Path

from gitdeploy.data.seen import Seen, Stamp
from gitdeploy.domain.tree import Kind
from gitdeploy.domain.tree_path import TreePath
from gitdeploy.store.new_file import NewFile

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_PIECE = 1 << 20  # bytes
_SETTLED = 50_000_000
"""Nanoseconds after which a file that is written again gets another time: the kernel's clock ticks."""

_COARSE = 5
"""CLOCK_REALTIME_COARSE (clock_gettime(2)): the kernel dates files by it, so up to two of its ticks too early."""
_TICKS = 3


def changed(
    data: Path, above: TreePath, before: Seen, now: Seen, began: int, without: Set[TreePath]
) -> Iterator[NewFile]:
    """The files below `data` that do not look as they did `before`; `above` stands before their paths. All that is
    there is put into `now`, but for the paths `without`. Take each file's content before asking for the next.

    `began` is the time (ns since 1970) before which a file must have been left alone to be known again.
    """
    for name, folder, path in _below(data, above, before, now, without):
        with contextlib.suppress(FileNotFoundError), contextlib.closing(_opened(name, folder, path)) as one:
            if one.note(now, began):
                yield NewFile(path, one.kind, one.content())


def fixed(
    data: Path, above: TreePath, before: Seen, now: Seen, began: int, without: Set[TreePath]
) -> Iterator[Fixed]:
    """As `changed`, but read afterwards: a file is the same one until it is closed, also when it is removed meanwhile
    or another one takes its name.
    """
    for name, folder, path in _below(data, above, before, now, without):
        with contextlib.suppress(FileNotFoundError):
            one = _opened(name, folder, path)
            if one.note(now, began):
                yield one
            else:
                one.close()


def found(data: Path, above: TreePath, path: TreePath) -> Fixed:
    """One of them by its path. Raises OSError when it is not there any more."""
    *folders, name = os.fsdecode(path.removeprefix(above)).split("/")
    folder = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for one in folders:
            inner = os.open(one, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        return _opened(name, folder, path)
    finally:
        os.close(folder)


@dataclass
class Fixed:
    """An open file, and what it looked like when it was opened; None when it is none."""

    path: TreePath
    stamp: Stamp | None
    kind: Kind
    _fd: int

    def content(self) -> Iterator[bytes]:
        """No more than it had at the start: one that is written to for ever still ends."""
        size = self.stamp[0] if self.stamp else 0
        while size > 0 and (piece := os.read(self._fd, min(size, _PIECE))):
            size -= len(piece)
            yield piece

    @property
    def has_changed(self) -> bool:
        """Whether it was written to since it was opened. That it was removed or renamed is none of its content."""
        now = _stamp_of(os.fstat(self._fd))
        return now is None or self.stamp is None or now[:2] != self.stamp[:2]

    def note(self, now: Seen, began: int) -> bool:
        """Remember it; False when it is no file."""
        if self.stamp is None:
            return False
        # One that was touched just now may be written to again within the same tick: not to be known by its stamp.
        is_settled = max(self.stamp[1], self.stamp[2]) < began - _SETTLED
        now.put(self.path, self.stamp if is_settled else (-1, *self.stamp[1:]))
        return True

    def close(self) -> None:
        os.close(self._fd)


def tick() -> int:
    """Wait until whatever is written gets a later time than the one returned (ns since 1970), which is no earlier than
    that of anything written before.
    """
    now = time.time_ns()
    time.sleep(_TICKS * time.clock_getres(_COARSE))
    return now


def of_databases(paths: Iterable[str]) -> frozenset[TreePath]:
    """What SQLite databases at these paths consist of, which is captured and moved as databases and not as files."""
    return frozenset(
        os.fsencode(path) + end for path in paths for end in (b"", b"-wal", b"-shm", b"-journal")
    )


def put(data: Path, path: str, kind: Kind, content: Iterable[bytes]) -> None:
    """Make a file below `data`, which nobody else writes to yet, and the folders above it."""
    target = data / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "xb") as file:
        for piece in content:
            file.write(piece)
    target.chmod(0o755 if kind == "exec" else 0o644)


# Private


def _below(
    data: Path, above: TreePath, before: Seen, now: Seen, without: Set[TreePath]
) -> Iterator[tuple[str, int, TreePath]]:
    top = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield from _walk(top, above, before, now, without)
    finally:
        os.close(top)


def _walk(
    fd: int, above: TreePath, before: Seen, now: Seen, without: Set[TreePath]
) -> Iterator[tuple[str, int, TreePath]]:
    """Name, open folder and path of what does not look as it did; links, and what does, are put into `now`."""
    known, same = before.folders.get(above, {}), now.folders.setdefault(above, {})
    hidden = {path.removeprefix(above) for path in without if path.startswith(above)}
    others: list[tuple[str, bytes, int]] = []
    with os.scandir(fd) as found:
        for one in found:
            try:
                at = one.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # gone since it was listed
            name = one.name.encode("utf-8", "surrogateescape")
            if name in hidden:
                continue
            # As `_stamp_of`, which is too slow to be called for each of 100,000 files that have not changed.
            stamp = at.st_size, at.st_mtime_ns, at.st_ctime_ns, at.st_ino
            if known.get(name) == stamp and stat.S_ISREG(at.st_mode):
                same[name] = stamp
            else:
                others.append((one.name, name, at.st_mode))
    for text, name, mode in sorted(others):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            if stat.S_ISLNK(mode):
                now.links[above + name] = os.fsencode(os.readlink(text, dir_fd=fd))
            elif stat.S_ISDIR(mode):
                inner = os.open(text, _FOLDER, dir_fd=fd)
                try:
                    yield from _walk(inner, above + name + b"/", before, now, without)
                finally:
                    os.close(inner)
            else:
                yield text, fd, above + name


def _opened(name: str, above: int, path: TreePath) -> Fixed:
    fd = os.open(name, _FILE, dir_fd=above)
    found = os.fstat(fd)
    return Fixed(path, _stamp_of(found), "exec" if found.st_mode & 0o111 else "file", fd)


def _stamp_of(found: os.stat_result) -> Stamp | None:
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino
