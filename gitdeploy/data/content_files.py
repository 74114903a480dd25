"""The files of two environments: known by what they hold, copied beside, and renamed into place.

What programs write is not trusted: on neither side a link is followed, and links do not move. Copies lie where no
program gets at them, on the file system of the target; giving them their names is all that is left to do then, and can
be done again after a crash.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

from gitdeploy.data import files, seen
from gitdeploy.data.seen import Seen
from gitdeploy.domain.tree import Kind
from gitdeploy.domain.tree_path import TreePath
from gitdeploy.store import durable
from gitdeploy.user import User

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_PIECE = 1 << 20  # bytes
_FEW = 100
"""Folders up to which each is flushed by itself."""
_PROGRAM = "x"
"""What stands behind the digest of a file that may be run."""


@dataclass(frozen=True)
class Tree:
    """Of each file of a data folder what it holds: its SHA-256, and whether it may be run. `links` are not in it."""

    held: Mapping[str, str] = field(default_factory=dict)
    links: tuple[str, ...] = ()


def look(data: Path, without: Set[TreePath], index: Path | None) -> Tree:
    """What is there now. `without` are paths that are none of it; `index` is a file that remembers what was read, so
    that only what changed since is read again.
    """
    before, known = _remembered(index) if index else (Seen(), {})
    now, held = Seen(), {}
    for one in files.changed(data, b"", before, now, time.time_ns(), without):
        digest = hashlib.sha256()
        for piece in one.content:
            digest.update(piece)
        held[os.fsdecode(one.path)] = _said(digest.hexdigest(), one.kind)
    found = {path: held.get(path) or known[path] for path in map(os.fsdecode, now.paths())}
    if index is not None:
        seen.write(index, now, found)
    return Tree(found, tuple(sorted(map(os.fsdecode, now.links))))


class Staging:
    """Copies of files that are to come, in a folder of their own. They belong to `user` already."""

    def __init__(self, folder: Path, user: User | None) -> None:
        self._folder = folder
        self._user = user
        self._copies: dict[str, tuple[int, str]] = {}
        self._count = 0

    def take(self, source: Path, paths: Iterable[str], held: Mapping[str, str]) -> None:
        """Copy those that are not copied yet as they are `held`. One that is written to at this moment is copied as far
        as it has got; one that has gone is left out.
        """
        self._folder.mkdir(exist_ok=True)
        written = []
        for path in paths:
            number, content = self._copies.get(path, (0, ""))
            if content and content == held[path]:
                continue
            if self._copies.pop(path, None):
                (self._folder / str(number)).unlink()
            self._count += 1
            copy = self._folder / str(self._count)
            with _gone():
                self._copies[path] = (self._count, self._copy(source, path, copy))
                written.append(copy)
        durable.flush([*written, self._folder], self._folder)

    def named(self, paths: Iterable[str]) -> dict[str, int]:
        """The number of each one's copy."""
        return {path: self._copies[path][0] for path in paths if path in self._copies}

    def _copy(self, source: Path, path: str, copy: Path) -> str:
        digest = hashlib.sha256()
        with _folder_of(source, path) as (above, name), _opened(name, above) as fd:
            kind: Kind = "exec" if os.fstat(fd).st_mode & 0o111 else "file"
            left = os.fstat(fd).st_size
            with open(copy, "xb") as file:
                while left > 0 and (piece := os.read(fd, min(left, _PIECE))):
                    left -= len(piece)
                    digest.update(piece)
                    file.write(piece)
                os.fchmod(file.fileno(), 0o755 if kind == "exec" else 0o644)
                if self._user is not None:
                    os.fchown(file.fileno(), self._user.uid, self._user.gid)
        return _said(digest.hexdigest(), kind)


def put(
    data: Path,
    staged: Path,
    aside: Path,
    coming: Mapping[str, int],
    going: Collection[str],
    user: User | None,
) -> None:
    """Give the copies of `staged` their names below `data`, and take away what is to go. Safe to repeat.

    What a program has put in the way since is moved into the folder `aside`.
    """
    for path, number in coming.items():
        copy = staged / str(number)
        if not copy.exists():
            continue  # it has its name already
        with _folder_of(data, path, aside, user) as (above, name):
            if _is_folder(name, above):
                _move_aside(name, above, aside)
            _name(copy, name, above)
    for path in going:
        with _gone(), _folder_of(data, path) as (above, name):
            os.unlink(name, dir_fd=above)
    _flush(data, {path.rpartition("/")[0] for path in (*coming, *going)})


# Private


def _flush(data: Path, folders: Set[str]) -> None:
    """Their names alone: copies are flushed already, and whatever else the disk has to write is not waited for."""
    if len(folders) > _FEW:
        durable.sync_filesystem(data)
        return
    for folder in folders:
        with _gone(), _folder_of(data, f"{folder}/." if folder else ".") as (above, _):
            os.fsync(above)


def _remembered(index: Path) -> tuple[Seen, dict[str, str]]:
    try:
        return seen.read(index)
    except (OSError, ValueError):
        return Seen(), {}


def _said(digest: str, kind: Kind) -> str:
    return digest + (_PROGRAM if kind == "exec" else "")


@contextlib.contextmanager
def _folder_of(
    top: Path, path: str, aside: Path | None = None, user: User | None = None
) -> Iterator[tuple[int, str]]:
    """The folder that a path below `top` lies in, opened without following a link, and the last part of the path. With
    `aside` missing folders are made, for `user`, and what is no folder is moved there.
    """
    *parts, name = path.split("/")
    above = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            below = _enter(part, above, aside, user)
            os.close(above)
            above = below
        yield above, name
    finally:
        os.close(above)


def _enter(part: str, above: int, aside: Path | None, user: User | None) -> int:
    if aside is None or _is_folder(part, above):
        return os.open(part, _FOLDER, dir_fd=above)
    with contextlib.suppress(FileNotFoundError):
        _move_aside(part, above, aside)
    os.mkdir(part, dir_fd=above)
    os.fsync(above)
    if user is not None:
        os.chown(part, user.uid, user.gid, dir_fd=above, follow_symlinks=False)
    return os.open(part, _FOLDER, dir_fd=above)


def _name(copy: Path, name: str, above: int) -> None:
    os.rename(copy, name, dst_dir_fd=above)


def _move_aside(name: str, above: int, aside: Path) -> None:
    aside.mkdir(exist_ok=True)
    os.rename(name, aside / f"{len(os.listdir(aside))}", src_dir_fd=above)  # noqa: PTH208


def _is_folder(name: str, above: int) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _gone() -> Iterator[None]:
    """In the block a path may have no plain file any more."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        pass
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise


@contextlib.contextmanager
def _opened(name: str, above: int) -> Iterator[int]:
    fd = os.open(name, _FILE, dir_fd=above)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise FileNotFoundError(name)
        yield fd
    finally:
        os.close(fd)
