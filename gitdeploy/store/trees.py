"""What the edge serves from: `trees/<digest>/`, one folder for each folder of an artifact, shared by all.

Files are hard links to blobs, sub-folders are links to their own folder beside it, so a changed file makes
only the folders above it. Links of the site are followed here (`Manifest.resolved`). A tree is derived: one
that does not agree with the blobs is made again.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from gitdeploy.domain.digest import Digest
from gitdeploy.domain.manifest import Manifest
from gitdeploy.domain.tree import Entry, Folder
from gitdeploy.errors import NotProven
from gitdeploy.store import durable
from gitdeploy.store.batch import Incoming
from gitdeploy.store.blobs import Blobs, hash_file

# Too many links (65,000 on ext4), another file system, or one that has no hard links.
_NO_LINK = (errno.EMLINK, errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP)


class Trees:
    def __init__(self, folder: Path, blobs: Blobs) -> None:
        self._folder = folder
        self._incoming = Incoming(folder / "incoming")  # here, as trees may lie on a disk of their own
        self._blobs = blobs
        self._lock = threading.Lock()

    def materialise(self, manifest: Manifest, serving: Manifest | None) -> Path:
        """The folder that holds `manifest`. Folders that `serving` has too are taken as they are.

        Raises NotProven when a blob is missing, Failed when the disk is full.
        """
        with self._lock:
            wanted = [folder for folder in self._not_serving(manifest, serving) if not self._is_right(folder)]
            if wanted:
                self._make(wanted)
        return self._path(manifest.resolved().root)

    def release(self, keep: Callable[[], Iterable[Manifest]]) -> None:
        """Remove all trees but those of `keep`, which is asked while no tree can be made."""
        with self._lock, self._incoming.open() as batch:
            if not self._folder.is_dir():
                return
            kept = {folder.digest for one in keep() for folder in one.resolved().folder.folders()}
            for name in os.listdir(self._folder):  # noqa: PTH208
                if name not in kept and name != self._incoming.folder.name:
                    os.rename(self._folder / name, batch.path())  # noqa: PTH104 (out of sight whole, then removed)

    def _not_serving(self, manifest: Manifest, serving: Manifest | None) -> Iterable[Folder]:
        """The folders to look at, children before parents."""
        served: set[Digest] = set()
        if serving is not None and self._path(serving.resolved().root).is_dir():
            served = {folder.digest for folder in serving.resolved().folder.folders()}
        return manifest.resolved().folder.folders(skip=served)

    def _is_right(self, folder: Folder) -> bool:
        """Whether the folder on disk is exactly this one."""
        path = self._path(folder.digest)
        try:
            with os.scandir(path) as found:
                there = {os.fsencode(one.name): one for one in found}
            return there.keys() == folder.entries.keys() and all(
                self._is_same(there[name], one) for name, one in folder.entries.items()
            )
        except FileNotFoundError:
            return False

    def _is_same(self, there: os.DirEntry[str], one: Entry | Folder) -> bool:
        if isinstance(one, Folder):
            return there.is_symlink() and Path(there.path).readlink() == Path(f"../{one.digest}")
        if not there.is_file(follow_symlinks=False):
            return False
        blob = os.lstat(self._blobs.path(one.digest))
        return there.inode() == blob.st_ino or hash_file(there.path) == one.digest

    def _make(self, folders: list[Folder]) -> None:
        durable.make_folder(self._folder)
        with self._incoming.open() as batch:
            made = {batch.path(): folder for folder in folders}
            try:
                for path, folder in made.items():
                    self._fill(path, folder)
                durable.flush(made.keys(), self._folder)
                for path, folder in made.items():
                    _put(Path(path), self._path(folder.digest))
            except FileNotFoundError as error:
                raise NotProven(
                    "A file of the artifact is not in the store.", "Build its commit again with redeploy."
                ) from error
            except OSError as error:
                raise durable.said(error, self._folder) from error
        durable.sync_folder(self._folder)

    def _fill(self, path: str, folder: Folder) -> None:
        os.mkdir(path)  # noqa: PTH102
        below = os.fsencode(path) + b"/"
        for name, one in folder.entries.items():
            if isinstance(one, Folder):
                os.symlink(f"../{one.digest}", below + name)  # noqa: PTH211 (bytes)
            else:
                link(os.fsencode(self._blobs.path(one.digest)), below + name)

    def _path(self, digest: Digest) -> Path:
        return self._folder / digest


def link(blob: bytes, path: bytes) -> None:
    """Have the blob's own bytes at `path` as well; a copy of them where the file system can not."""
    try:
        os.link(blob, path)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        shutil.copy2(blob, path)  # with its mode and time, which the ETag is made of


def _put(made: Path, path: Path) -> None:
    """Give a folder its name. Nobody else makes one meanwhile; one that is there is wrong."""
    if path.is_symlink() or path.exists():
        durable.exchange(made, path)
    else:
        made.rename(path)
