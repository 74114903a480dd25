"""Reading the folder a build left behind. Builds are not trusted, and may still be writing.

Every step down is an openat(2) that follows no link, from a descriptor of the folder above: nothing outside
the folder can be read, whatever is swapped meanwhile. Links are taken as links. Of a file's mode only the
executable bit is taken.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from gitdeploy.domain.tree import Kind
from gitdeploy.domain.tree_path import TreePath, check_folder, show
from gitdeploy.errors import Failed, GitdeployError, NotFound, Refused
from gitdeploy.store.new_file import NewFile

_WHOLE = 1 << 20  # bytes up to which a file is read at once
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = (
    os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
)  # a fifo must not block the open


def folder_files(folder: Path, *, inside: Path | None = None) -> Iterator[NewFile]:
    """Every file and link below `folder`. Take each file's content before asking for the next.

    `inside` is a folder above it that the build could not have replaced; the steps from there down may not be
    links either. Raises NotFound when the folder is not there, Refused for what is neither a file, a folder
    nor a link, or may not be read, Failed when something vanishes while it is read, Invalid for a path that
    is not legal.
    """
    fd = _open_folder(folder, inside)
    try:
        yield from _below(fd, b"")
    finally:
        os.close(fd)


def _open_folder(folder: Path, inside: Path | None) -> int:
    steps = folder.relative_to(inside).parts if inside else ()
    try:
        fd = os.open(
            inside or folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if inside else os.O_NOFOLLOW)
        )
        for step in steps:
            above = fd
            try:
                fd = os.open(step, _FOLDER, dir_fd=above)
            finally:
                os.close(above)
    except OSError as error:
        raise NotFound(
            f"The build left no folder {folder.name}.", "Set [build] output to the folder that it writes."
        ) from error
    return fd


def _below(fd: int, above: TreePath) -> Iterator[NewFile]:
    with os.scandir(fd) as found:
        entries = sorted(found, key=lambda one: one.name)
    for one in entries:
        path = above + os.fsencode(one.name)
        try:
            # The type is what the listing said; every open checks it again.
            if one.is_symlink():
                yield NewFile(path, "link", target=os.fsencode(os.readlink(one.name, dir_fd=fd)))
            elif one.is_dir():
                yield from _folder(one.name, fd, path)
            else:
                yield from _file(one.name, fd, path)
        except OSError as error:
            _explain(error, path)


def _folder(name: str, above: int, path: TreePath) -> Iterator[NewFile]:
    check_folder(path)
    fd = os.open(name, _FOLDER, dir_fd=above)
    try:
        yield from _below(fd, path + b"/")
    finally:
        os.close(fd)


def _file(name: str, above: int, path: TreePath) -> Iterator[NewFile]:
    fd = os.open(name, _FILE, dir_fd=above)
    try:
        now = os.fstat(fd)
        if not stat.S_ISREG(now.st_mode):
            raise _refused(path)
        kind: Kind = "exec" if now.st_mode & 0o111 else "file"
        # No more than it had at the start: one that is written to for ever still ends.
        if now.st_size <= _WHOLE:
            yield NewFile(path, kind, (os.read(fd, now.st_size),))
        else:
            with io.FileIO(fd, closefd=False) as file:
                yield NewFile(path, kind, _pieces(file, now.st_size, path))
    finally:
        os.close(fd)


def _pieces(file: io.FileIO, size: int, path: TreePath) -> Iterator[bytes]:
    try:
        while size > 0 and (piece := file.read(min(size, _WHOLE))):
            size -= len(piece)
            yield piece
    except OSError as error:
        _explain(error, path)


def _explain(error: OSError, path: TreePath) -> NoReturn:
    if error.errno in (errno.EACCES, errno.EPERM):
        raise Refused(
            f"{show(path)} in the build's output may not be read.", "Have the build make it readable."
        ) from error
    if error.errno in (errno.ENXIO, errno.ENODEV):
        raise _refused(path) from error
    if error.errno in (errno.ELOOP, errno.ENOENT, errno.ENOTDIR):
        raise _changed(path) from error
    raise Failed(f"{show(path)} in the build's output cannot be read: {error.strerror}.") from error


def _changed(path: TreePath) -> GitdeployError:
    return Failed(
        f"{show(path)} in the build's output was replaced while it was read.",
        "Have the build wait for what it starts, then push again.",
    )


def _refused(path: TreePath) -> GitdeployError:
    return Refused(
        f"{show(path)} in the build's output is neither a file, a folder nor a link.",
        "Have the build remove it: a site holds no devices, pipes or sockets.",
    )
