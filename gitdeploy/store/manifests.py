"""The manifests of artifacts on disk: `artifacts/<root>/manifest.gz`, whole or as a change of an earlier one.

A manifest is read only with its proof: its root is computed again and must be its name. What was read stays
in memory (manifests are immutable and share their folders) for as long as the files it came from stay as
they were.
"""

from __future__ import annotations

import gzip
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gitdeploy.domain.digest import Digest
from gitdeploy.domain.manifest import EMPTY, Manifest
from gitdeploy.domain.manifest_text import Header, delta_text, full_text, read
from gitdeploy.errors import Invalid, NotFound, NotProven
from gitdeploy.store import durable

MAX_DEPTH = 32  # deltas down to a full manifest
ONE_BLOCK = 64  # entries: a full manifest of so many fits a disk block, and a delta cannot be smaller
REMEMBERED = 200_000  # entries kept in memory, at some 300 bytes each if nothing is shared


class _Stamp(NamedTuple):
    """A file as it was when it was read; `changed` cannot be set back the way a modification time can."""

    path: Path
    inode: int
    size: int
    changed: int

    @classmethod
    def of(cls, path: Path) -> _Stamp:
        found = path.stat()
        return cls(path, found.st_ino, found.st_size, found.st_ctime_ns)

    def still(self) -> bool:
        try:
            return _Stamp.of(self.path) == self
        except OSError:
            return False


class _Read(NamedTuple):
    manifest: Manifest
    stamps: tuple[_Stamp, ...]  # its own file first, the full one last
    depth: int  # as its header says: no less than the deltas there are


class Manifests:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._memory: OrderedDict[Digest, _Read] = OrderedDict()

    def path(self, root: Digest) -> Path:
        return self.folder / root / "manifest.gz"

    def all(self) -> Iterator[Digest]:
        """Every artifact that has a folder."""
        if self.folder.is_dir():
            yield from sorted(Digest(one.name) for one in self.folder.iterdir() if len(one.name) == 64)

    def load(self, root: Digest) -> Manifest:
        """Raises NotFound when there is no such artifact, NotProven when what is stored is not it."""
        return self._load(root).manifest

    def chain(self, root: Digest) -> tuple[Digest, ...]:
        """The artifact and those whose manifests its own is a change of."""
        return tuple(Digest(stamp.path.parent.name) for stamp in self._load(root).stamps)

    def save(self, manifest: Manifest, base: Manifest | None) -> None:
        """Store a manifest durably; small when it is a small change of `base`, which has to be stored."""
        if self._is_stored(manifest.root):
            return
        if base is not None:
            below = self._load(base.root)
            text = _delta(manifest, base, below.depth + 1)
            if text is not None:
                self._write(manifest, text, below.stamps, below.depth + 1)
                return
        self._write(manifest, full_text(manifest))

    def make_full(self, root: Digest) -> None:
        """Store it so that it needs no other."""
        loaded = self._load(root)
        if len(loaded.stamps) > 1:
            self._write(loaded.manifest, full_text(loaded.manifest))

    def _is_stored(self, root: Digest) -> bool:
        try:
            self._load(root)
        except (NotFound, NotProven):
            return False
        return True

    def _write(self, manifest: Manifest, text: bytes, chain: tuple[_Stamp, ...] = (), depth: int = 0) -> None:
        path = self.path(manifest.root)
        durable.make_folder(path.parent)
        # Level 1: a manifest is mostly hashes, which no level makes smaller.
        durable.write_file(path, gzip.compress(text, 1, mtime=0))
        self._remember(_Read(manifest, (_Stamp.of(path), *chain), depth))

    def _load(self, root: Digest, above: int = MAX_DEPTH + 1) -> _Read:
        """`above` is the depth of what builds upon it; depths get less, so no chain is a circle."""
        with self._lock:
            known = self._memory.get(root)
        if known is None or not all(stamp.still() for stamp in known.stamps):
            known = self._read(root, above)
        self._remember(known)
        return known

    def _read(self, root: Digest, above: int) -> _Read:
        stamp, header, text = self._open(root)
        if header.base is None:
            return _Read(_proven(root, text, EMPTY), (stamp,), 0)
        if not 0 < header.depth < above:
            raise _damaged(root)
        try:
            base = self._load(header.base, header.depth)
        except NotFound as error:
            raise _damaged(root) from error
        return _Read(_proven(root, text, base.manifest), (stamp, *base.stamps), header.depth)

    def _open(self, root: Digest) -> tuple[_Stamp, Header, bytes]:
        path = self.path(root)
        try:
            stamp = _Stamp.of(path)
            text = gzip.decompress(path.read_bytes())
            return stamp, Header.parse(text[:200].split(b"\n")[0].decode("ascii")), text
        except FileNotFoundError as error:
            raise NotFound(
                f"Artifact {root.short} is not in the store.", "Build its commit again with redeploy."
            ) from error
        except (OSError, EOFError, zlib.error, ValueError, Invalid) as error:
            raise _damaged(root) from error

    def _remember(self, read: _Read) -> None:
        with self._lock:
            self._memory[read.manifest.root] = read
            self._memory.move_to_end(read.manifest.root)
            held = sum(len(one.manifest) for one in self._memory.values())
            while held > REMEMBERED and len(self._memory) > 1:
                _, dropped = self._memory.popitem(last=False)
                held -= len(dropped.manifest)


def _delta(manifest: Manifest, base: Manifest, depth: int) -> bytes | None:
    """The text of `manifest` as a change of `base`, if that saves disk and the chain stays short."""
    if depth > MAX_DEPTH or len(manifest) <= ONE_BLOCK:
        return None
    text = delta_text(manifest, base, depth)
    return text if text.count(b"\n") <= len(manifest) // 4 else None


def _proven(root: Digest, text: bytes, base: Manifest) -> Manifest:
    try:
        manifest = read(text, base)
    except Invalid as error:
        raise _damaged(root) from error
    if manifest.root != root:
        raise _damaged(root)
    return manifest


def _damaged(root: Digest) -> NotProven:
    return NotProven(
        f"The manifest of artifact {root.short} is not the one that was stored.",
        "Run: gitdeploy fsck. Then build the commit again with redeploy.",
    )
