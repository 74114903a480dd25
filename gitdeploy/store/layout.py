"""What a program runs from: a real folder tree of an artifact, as the build left it.

Folders are folders and links are links, unlike `trees`, whose folders are shared: a program that resolves its
own path must not end up in a folder of several releases. Files are hard links to blobs; executable ones are
copies, as a blob's mode is not its own. Everything is read-only, and belongs to whoever runs gitdeploy.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from gitdeploy.domain.manifest import NO_LINKS, Links, Manifest
from gitdeploy.domain.tree import Entry, Folder
from gitdeploy.errors import NotProven
from gitdeploy.store import durable
from gitdeploy.store.batch import Incoming
from gitdeploy.store.blobs import Blobs, hash_file, mtime
from gitdeploy.store.trees import link

_FOLDER, _EXECUTABLE = 0o555, 0o555
_MOVABLE = 0o755
"""A folder that may not be written to cannot be moved elsewhere either, unless by root (rename(2))."""


def lay_out(blobs: Blobs, manifest: Manifest, folder: Path, links: Links = NO_LINKS) -> None:
    """Have `folder` hold exactly `manifest`, durably: whole or, after a crash, as it was. At the paths of `links` there
    are links instead, which may lead anywhere.

    One that does already is left alone, one that does not is replaced. Raises NotProven when a blob is
    missing or is not what it was, Failed when the disk is full.
    """
    tree = manifest.linked(links)
    if folder.is_dir() and _is_right(blobs, tree, os.fsencode(folder)):
        return
    durable.make_folder(folder.parent)
    with Incoming(folder.parent / "incoming").open() as batch:
        made = batch.path()
        written: list[str] = []
        try:
            _fill(blobs, tree, os.fsencode(made), written)
            durable.flush(written, folder.parent)
            _put(Path(made), folder)
        except FileNotFoundError as error:
            raise NotProven(
                "A file of the artifact is not in the store.", "Build its commit again with redeploy."
            ) from error
        except OSError as error:
            raise durable.said(error, folder) from error
        finally:
            _make_removable(Path(made))
    durable.sync_folder(folder.parent)


def _put(made: Path, folder: Path) -> None:
    made.chmod(_MOVABLE)
    if folder.is_dir():
        folder.chmod(_MOVABLE)
        durable.exchange(made, folder)
    else:
        made.rename(folder)
    folder.chmod(_FOLDER)


def _fill(blobs: Blobs, folder: Folder, path: bytes, written: list[str]) -> None:
    os.mkdir(path)  # noqa: PTH102
    for name, one in folder.entries.items():
        there = path + b"/" + name
        if isinstance(one, Folder):
            _fill(blobs, one, there, written)
        elif one.kind == "link":
            os.symlink(one.target, there)  # noqa: PTH211 (bytes)
        elif one.kind == "file":
            link(os.fsencode(blobs.path(one.digest)), there)
        else:
            _copy(blobs, one, there)
            written.append(os.fsdecode(there))
    os.chmod(path, _FOLDER)  # noqa: PTH101
    written.append(os.fsdecode(path))


def _copy(blobs: Blobs, one: Entry, path: bytes) -> None:
    blob = blobs.path(one.digest)
    shutil.copyfile(blob, os.fsdecode(path), follow_symlinks=False)
    if hash_file(os.fsdecode(path)) != one.digest:
        raise NotProven(f"The blob {one.digest.short} is not what was stored.", "Run: gitdeploy fsck")
    os.chmod(path, _EXECUTABLE)  # noqa: PTH101
    os.utime(path, (mtime(one.digest), mtime(one.digest)))


def _is_right(blobs: Blobs, folder: Folder, path: bytes) -> bool:
    with os.scandir(path) as found:
        there = {one.name: one for one in found}
    return there.keys() == folder.entries.keys() and all(
        _is_same(blobs, there[name], one) for name, one in folder.entries.items()
    )


def _is_same(blobs: Blobs, there: os.DirEntry[bytes], one: Entry | Folder) -> bool:
    if isinstance(one, Folder):
        return there.is_dir(follow_symlinks=False) and _is_right(blobs, one, there.path)
    if one.kind == "link":
        return there.is_symlink() and os.readlink(there.path) == one.target  # noqa: PTH115
    if not there.is_file(follow_symlinks=False):
        return False
    if one.kind == "file" and there.inode() == _inode(blobs, one):
        return True
    executable = bool(there.stat(follow_symlinks=False).st_mode & stat.S_IXOTH)
    return executable == (one.kind == "exec") and hash_file(os.fsdecode(there.path)) == one.digest


def _inode(blobs: Blobs, one: Entry) -> int:
    try:
        return os.lstat(blobs.path(one.digest)).st_ino
    except FileNotFoundError:
        return 0


def _make_removable(folder: Path) -> None:
    """Give the folders back the right to be emptied, which their owner needs unless it is root."""
    if folder.is_dir():
        for path, _, _ in os.walk(folder):
            os.chmod(path, _MOVABLE)  # noqa: PTH101
