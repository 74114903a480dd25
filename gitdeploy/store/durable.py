"""The one way to write something that must survive a crash.

A file appears whole or not at all: written beside its name, flushed to disk, renamed, and the folder
flushed so that the rename itself survives. A link is swapped by one rename(2). Nobody else opens state
for writing; `batch.py` is the form for many files at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import secrets
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from gitdeploy.errors import Busy, Failed

_libc = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD = -100  # linux/fcntl.h
_RENAME_EXCHANGE = 2  # linux/fs.h
_FEW = 32  # above that one syncfs, which also writes what others left unwritten, is the cheaper one


def write_file(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Make `path` hold exactly `data`, durably; a reader sees the old file or the new one."""
    temp = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        temp.rename(path)
    except BaseException as error:
        temp.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise said(error, path) from error
        raise
    sync_folder(path.parent)


def point(link: Path, target: str) -> None:
    """Make the symbolic link `link` lead to `target` by one rename; whoever follows it sees old or new."""
    temp = link.with_name(f".{link.name}.{secrets.token_hex(6)}")
    try:
        temp.symlink_to(target)
        temp.rename(link)
    except OSError as error:
        temp.unlink(missing_ok=True)
        raise said(error, link) from error
    sync_folder(link.parent)


def remove(path: Path) -> None:
    """Remove a file or link durably; one that is gone already is fine."""
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def remove_tree(path: Path) -> None:
    """Remove a folder with all in it, also where folders may not be written to; links are not followed. What cannot
    go stays; one that is gone already is fine.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for folder, _, _ in os.walk(path):
        with contextlib.suppress(OSError):
            os.chmod(folder, 0o700)  # noqa: PTH101
    shutil.rmtree(path, ignore_errors=True)


def make_folder(path: Path, *, mode: int = 0o755) -> None:
    """Make a folder and its parents, each flushed into its parent."""
    missing = [path, *path.parents]
    for folder in reversed([one for one in missing if not one.is_dir()]):
        try:
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=mode)
            sync_folder(folder.parent)
        except OSError as error:
            raise said(error, folder) from error


def sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_filesystem(folder: Path) -> None:
    """Flush everything written below `folder`'s file system: one syncfs(2) instead of an fsync a file."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _libc.syncfs(fd) != 0:
            code = ctypes.get_errno()
            raise said(OSError(code, os.strerror(code)), folder)
    finally:
        os.close(fd)


def flush(paths: Collection[Path | str], within: Path) -> None:
    """Flush these files and folders, all on `within`'s file system: one by one, or all at once when many."""
    if len(paths) > _FEW:
        sync_filesystem(within)
        return
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        except OSError as error:
            raise said(error, Path(path)) from error
        finally:
            os.close(fd)


def exchange(one: Path, other: Path) -> None:
    """Swap two files or folders by one renameat2(2): neither name is ever without one."""
    done = _libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    if done != 0:
        code = ctypes.get_errno()
        raise said(OSError(code, os.strerror(code)), other)


@contextlib.contextmanager
def exclusive(path: Path, *, busy: str) -> Iterator[None]:
    """Hold a kernel lock on `path` while the block runs; the kernel frees it if the process dies.

    Raises Busy with the sentence `busy` when another process holds it.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Busy(busy) from error
        yield
    finally:
        os.close(fd)


def said(error: OSError, path: Path) -> Failed:
    """The sentence for a write to `path` that the system refused."""
    if error.errno in (28, 122):  # ENOSPC, EDQUOT
        return Failed("The disk is full; nothing was changed.", "Free space, or run: gitdeploy gc")
    return Failed(f"Cannot write {path.name}: {error.strerror or error}.")
