"""Every file once, under its hash: `blobs/ab/<SHA-256>`, raw bytes, read-only, checkable with sha256sum.

A blob's modification time is made from its digest. Web servers make the ETag of a file from its time and
size, so two versions of one path that are of equal size still get different ETags.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Set
from itertools import chain
from pathlib import Path

from gitdeploy.domain.digest import Digest
from gitdeploy.store import batch as files
from gitdeploy.store.batch import Batch
from gitdeploy.store.holds import Hold

MODE = 0o444
CHUNK = 1 << 20  # bytes read at a time

_YEAR_2000 = 946_684_800


def mtime(digest: Digest) -> int:
    """Seconds since 1970, between 2000 and 2017: 29 bits of the digest after the start of 2000."""
    return _YEAR_2000 + (int(digest[:8], 16) >> 3)


class Blobs:
    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)

    def path(self, digest: Digest) -> str:
        return f"{self._folder}/{digest[:2]}/{digest}"

    def flaw(self, digest: Digest, size: int) -> str | None:
        """What is wrong with a blob as far as can be told without reading it; None when nothing is."""
        try:
            found = os.lstat(self.path(digest))
        except FileNotFoundError:
            return "is missing"
        if not stat.S_ISREG(found.st_mode):
            return "is not a plain file"
        if found.st_size != size:
            return f"has {found.st_size} bytes instead of {size}"
        if found.st_mtime_ns != mtime(digest) * 10**9:
            return "was written to"
        return None

    def flaw_inside(self, digest: Digest, size: int) -> str | None:
        """As `flaw`, and the bytes are hashed again."""
        return self.flaw(digest, size) or (
            "has other bytes" if hash_file(self.path(digest)) != digest else None
        )

    def write(self, batch: Batch, hold: Hold, *, known: Set[Digest] = frozenset()) -> Writing:
        """Blobs to be; `known` are digests that need not be looked for: a stored artifact has them."""
        return Writing(self, batch, hold, known)

    def all(self) -> Iterator[os.DirEntry[str]]:
        """Every file that lies among the blobs, whatever its name."""
        try:
            folders = os.listdir(self._folder)  # noqa: PTH208
        except FileNotFoundError:
            return
        for folder in sorted(folders):
            with os.scandir(f"{self._folder}/{folder}") as found:
                yield from list(found)


class Writing:
    """Takes content and leaves what is new of it in a batch; its blobs exist once the batch is committed.

    `fresh` are the digests whose stored bytes this writing wrote, or read again and found right.
    """

    def __init__(self, blobs: Blobs, batch: Batch, hold: Hold, known: Set[Digest]) -> None:
        self._blobs = blobs
        self._batch = batch
        self._hold = hold
        self._known = known
        self.fresh: set[Digest] = set()

    def add(self, content: Iterable[bytes]) -> tuple[Digest, int]:
        """Store the bytes unless they are there; their digest and size. Never more than a piece in memory."""
        pieces = iter(content)
        first = next(pieces, b"")
        second = next(pieces, None)
        if second is None:
            return self._add_whole(first)
        return self._add_stream(chain((first, second), pieces))

    def _add_whole(self, content: bytes) -> tuple[Digest, int]:
        digest = Digest.of(content)
        if not self._stored(digest, len(content)):
            path = self._batch.path()
            files.create(path, content, mode=MODE, mtime=mtime(digest))
            self._keep(path, digest)
        return digest, len(content)

    def _add_stream(self, pieces: Iterable[bytes]) -> tuple[Digest, int]:
        path = self._batch.path()
        fd = files.open_new(path)
        try:
            digest, size = _write_all(fd, pieces, path)
            if not self._stored(digest, size):
                files.finish(fd, path, mode=MODE, mtime=mtime(digest))
                self._keep(path, digest)
            else:
                os.unlink(path)  # noqa: PTH108
        finally:
            os.close(fd)
        return digest, size

    def _stored(self, digest: Digest, size: int) -> bool:
        """Whether the right bytes are there already. Wrong ones are not: they will be replaced."""
        if digest in self.fresh or digest in self._known:
            return True
        self._hold.blob(digest)  # before looking: what is seen must still be there when it is published
        if not os.access(self._blobs.path(digest), os.F_OK) or self._blobs.flaw_inside(digest, size):
            return False
        self.fresh.add(digest)
        return True

    def _keep(self, path: str, digest: Digest) -> None:
        self._batch.name(path, self._blobs.path(digest))
        self.fresh.add(digest)


def hash_file(path: str) -> Digest:
    """The digest of a file's bytes; a link is not followed."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        total = hashlib.sha256()
        while piece := os.read(fd, CHUNK):
            total.update(piece)
    finally:
        os.close(fd)
    return Digest(total.hexdigest())


def _write_all(fd: int, pieces: Iterable[bytes], path: str) -> tuple[Digest, int]:
    total = hashlib.sha256()
    size = 0
    for piece in pieces:
        total.update(piece)
        files.write(fd, piece, path)
        size += len(piece)
    return Digest(total.hexdigest()), size
