"""Freeing the disk of what nobody needs, beside publishes that are under way.

Order: what is kept is read whole before anything goes; what is kept no longer leans on what goes; manifests
go before the blobs they name. Killed anywhere, the next run finishes it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gitdeploy.domain.digest import Digest
from gitdeploy.errors import NotFound
from gitdeploy.store.batch import Incoming
from gitdeploy.store.blobs import Blobs
from gitdeploy.store.holds import Holds
from gitdeploy.store.manifests import Manifests


@dataclass(frozen=True)
class Collection:
    incoming: Incoming
    blobs: Blobs
    manifests: Manifests
    holds: Holds

    def run(self, keep: Callable[[], Iterable[Digest]]) -> int:
        """Remove the artifacts that neither `keep` names nor a hold, and the blobs of none; the bytes freed.

        `keep` is asked once the sweep has begun: a publish recorded by then is in its answer, one that is not
        is held. Raises NotProven, with nothing removed, when a kept manifest is damaged: its blobs could not
        be told from others.
        """
        self.incoming.tidy()
        with self.holds.sweeping():
            kept = self._present({*keep(), *self.holds.artifacts()})
            for root in kept:
                if not kept.issuperset(self.manifests.chain(root)):
                    self.manifests.make_full(root)
            kept |= self._present(self._remove_artifacts(kept))
            named = set[Digest]().union(*(self.manifests.load(root).blobs for root in kept))
            return self._remove_blobs(named)

    def _present(self, roots: set[Digest]) -> set[Digest]:
        present = set()
        for root in roots:
            try:
                self.manifests.load(root)
            except NotFound:
                continue
            present.add(root)
        return present

    def _remove_artifacts(self, kept: set[Digest]) -> set[Digest]:
        """The artifacts that a hold named meanwhile, and that therefore stay."""
        late = set()
        for root in list(self.manifests.all()):
            folder = self.manifests.path(root).parent
            if root not in kept and self.holds.unless_held(root, partial(_remove_folder, folder)) is None:
                late.add(root)
        return late

    def _remove_blobs(self, named: set[Digest]) -> int:
        freed = 0
        for found in self.blobs.all():
            if found.name not in named:
                freed += self.holds.unless_held(Digest(found.name), partial(_unlink, found.path)) or 0
        return freed


def _remove_folder(path: Path) -> int:
    shutil.rmtree(path)
    return 0


def _unlink(path: str) -> int:
    """The bytes this frees: none while a tree still serves the file."""
    found = os.lstat(path)
    Path(path).unlink()
    return found.st_blocks * 512 if found.st_nlink == 1 else 0
