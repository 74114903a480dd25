"""Making an artifact: content in, a stored manifest out. Work grows with what is new.

Blobs come first, all of them flushed, then the manifest: an artifact that is there is whole. What a publish
that failed leaves behind is blobs that no manifest names, and `collect` removes those.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType

from gitdeploy.domain.digest import Digest
from gitdeploy.domain.manifest import EMPTY, Manifest
from gitdeploy.domain.tree import Entry
from gitdeploy.domain.tree_path import TreePath, show
from gitdeploy.errors import Invalid, NotFound, NotProven
from gitdeploy.store.batch import Incoming
from gitdeploy.store.blobs import Blobs, Writing
from gitdeploy.store.holds import Hold
from gitdeploy.store.manifests import Manifests
from gitdeploy.store.new_file import NewFile

__all__ = ["NewFile", "Published", "Publisher"]


@dataclass(frozen=True)
class Published:
    """A stored artifact. `fresh` are the blobs whose stored bytes this publish wrote or read again.

    Nothing collects it before `release` or the end of a with-block: record it first.
    """

    manifest: Manifest
    fresh: frozenset[Digest]
    hold: Hold

    def release(self) -> None:
        self.hold.release()

    def __enter__(self) -> Published:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


@dataclass(frozen=True)
class Publisher:
    incoming: Incoming
    blobs: Blobs
    manifests: Manifests

    def changes(
        self,
        hold: Hold,
        files: Iterable[NewFile],
        base: Manifest,
        removed: Iterable[TreePath],
        like: Manifest | None = None,
    ) -> Published:
        """`base` without the paths `removed`, with `files` put in it; stored as a change of `like`, or of `base`."""
        self._keep(hold, base)
        if like is not None:
            self._keep(hold, like)
        return self._publish(hold, files, base, removed, like or base, frozenset())

    def whole(self, hold: Hold, files: Iterable[NewFile], like: Manifest | None) -> Published:
        """Exactly `files`; what `like` has too costs no more than being hashed."""
        if like is not None:
            self._keep(hold, like)
        return self._publish(hold, files, EMPTY, (), like, like.blobs if like else frozenset())

    def _publish(
        self,
        hold: Hold,
        files: Iterable[NewFile],
        base: Manifest,
        removed: Iterable[TreePath],
        like: Manifest | None,
        known: frozenset[Digest],
    ) -> Published:
        with self.incoming.open() as batch:
            writing = self.blobs.write(batch, hold, known=known)
            manifest = base.changed(_stored(writing, files), removed)
            manifest.resolved()  # refuses links that lead nowhere
            batch.commit()
        # One that is stored already may be on its way out: held first, with what it builds upon, then looked at.
        hold.artifact(manifest.root)
        with contextlib.suppress(NotFound, NotProven):
            hold.artifact(*self.manifests.chain(manifest.root))
        self.manifests.save(manifest, like)
        return Published(manifest, frozenset(writing.fresh), hold)

    def _keep(self, hold: Hold, stored: Manifest) -> None:
        """Keep an artifact from being collected. Raises NotFound when it was collected already."""
        hold.artifact(stored.root)
        hold.artifact(*self.manifests.chain(stored.root))


def _stored(writing: Writing, files: Iterable[NewFile]) -> dict[TreePath, Entry]:
    entries: dict[TreePath, Entry] = {}
    for file in files:
        if file.path in entries:
            raise Invalid(f"{show(file.path)} is there twice.")
        if file.kind == "link":
            entries[file.path] = Entry.link(file.target)
        else:
            digest, size = writing.add(file.content)
            entries[file.path] = Entry(file.kind, digest, size)
    return entries
