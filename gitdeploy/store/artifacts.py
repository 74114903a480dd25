"""The content-addressed store of everything that was built. Its format is specified in docs/store-format.md.

with store.publish(files, base=live, removed=gone) as published:
    store.attest(Statement(site=…, artifact=published.manifest.root, build_id=…, …))
    store.prove(published.manifest.root, build_id, site=…, tree=…, serving=live, fresh=published.fresh)
    folder = store.materialise(published.manifest, serving=live)
    …switch, and record it: what nothing names is collected after the with-block
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set
from pathlib import Path

from gitdeploy.domain.digest import Digest
from gitdeploy.domain.image import changes
from gitdeploy.domain.manifest import EMPTY, NO_LINKS, Links, Manifest
from gitdeploy.domain.statement import Statement
from gitdeploy.domain.tree_path import TreePath
from gitdeploy.store import layer, layout
from gitdeploy.store.batch import Incoming
from gitdeploy.store.blobs import Blobs
from gitdeploy.store.collect import Collection
from gitdeploy.store.holds import Hold, Holds
from gitdeploy.store.home import Home
from gitdeploy.store.layer import Packed
from gitdeploy.store.manifests import Manifests
from gitdeploy.store.proof import Proof, Verified
from gitdeploy.store.publish import NewFile, Published, Publisher
from gitdeploy.store.scrub import Problem, scrub
from gitdeploy.store.sealing import Sealing
from gitdeploy.store.signing import Keys
from gitdeploy.store.trees import Trees


class Store:
    """One for a home; its methods may be called from any thread. Only one process may write."""

    def __init__(self, home: Home) -> None:
        self.keys = Keys(home.keys)
        self.sealing = Sealing(home.keys / "snapshots.key")
        self._holds = Holds()
        self._incoming = Incoming(home.store / "incoming")
        self._blobs = Blobs(home.store / "blobs")
        self._manifests = Manifests(home.store / "artifacts")
        self._trees = Trees(home.store / "trees", self._blobs)
        self._publisher = Publisher(self._incoming, self._blobs, self._manifests)
        self._proof = Proof(self._blobs, self._manifests, self.keys)

    def publish(
        self,
        files: Iterable[NewFile],
        *,
        base: Manifest | None,
        removed: Iterable[TreePath],
        like: Manifest | None = None,
    ) -> Published:
        """Store the artifact that is `base` without the paths `removed` and with `files` put in it. What is stored is
        how it differs from `like`, where that is not `base`.

        Raises Invalid, naming the path, for a tree that cannot be (`Manifest.changed`, `Manifest.resolved`),
        NotFound when `base` is no longer stored, Failed when the disk is full; then nothing is published.
        """
        hold = self._holds.open()
        if base is None:
            return self._publisher.whole(hold, files, like=None)
        return self._publisher.changes(hold, files, base, removed, like)

    def publish_whole(self, files: Iterable[NewFile], *, like: Manifest | None) -> Published:
        """Store the artifact that is exactly `files`. `like`, one that resembles it, saves work and disk.

        Raises as `publish` does. `folder_files` gives the files of a folder that a build wrote.
        """
        return self._publisher.whole(self._holds.open(), files, like)

    def has(self, artifact: str, build_id: str = "") -> bool:
        """Whether the artifact is stored, and signed for by that build; its bytes are not looked at."""
        root = Digest.parse(artifact)
        return self._manifests.path(root).exists() and (
            not build_id or build_id in self._proof.envelopes(root)
        )

    def load(self, artifact: Digest) -> Manifest:
        """Raises NotFound when it is not stored, NotProven when what is stored is not it."""
        return self._manifests.load(artifact)

    def blob(self, digest: Digest) -> Path:
        """Where a file's bytes lie, to be read only."""
        return Path(self._blobs.path(digest))

    def attest(self, statement: Statement) -> None:
        """Sign what a build did and file it with its artifact."""
        self._proof.attest(statement)

    def prove(
        self,
        artifact: Digest,
        build_id: str,
        *,
        site: str,
        tree: str,
        serving: Manifest | None,
        fresh: Set[Digest] = frozenset(),
    ) -> Statement:
        """What is signed about the build, once the artifact is proven fit to go live.

        `serving` is what the environment serves now, `fresh` what this very publish wrote: those bytes are
        not read again. Raises NotProven, naming the file.
        """
        return self._proof.prove(artifact, build_id, site=site, tree=tree, serving=serving, fresh=fresh)

    def signed(self) -> Iterator[tuple[Digest, str]]:
        """Every stored artifact with each build that signed for it."""
        for root in self._manifests.all():
            for build_id in self._proof.envelopes(root):
                yield root, build_id

    def envelope(self, artifact: Digest, build_id: str) -> bytes:
        """What was signed about a build, with its signatures. Raises NotProven."""
        return self._proof.envelope(artifact, build_id)

    def pack(self, old: Digest | None, new: Digest, above: TreePath, path: Path) -> Packed:
        """Write a new file: a layer of an image that leads from the tree `old` (None: from nothing) to `new`, below the
        folder `above`. Raises NotFound, NotProven naming the file, Failed when the disk is full.
        """
        found = changes(self.load(old) if old else EMPTY, self.load(new))
        return layer.pack(self._blobs, found, above, path)

    def stated(self, artifact: Digest, build_id: str) -> Statement:
        """What was signed, the signature checked and nothing else. Raises NotProven."""
        return self._proof.stated(artifact, build_id)

    def check(self, artifact: Digest) -> Manifest:
        """Read every byte of an artifact, signed or not; raises NotProven, naming the file."""
        return self._proof.check(artifact)

    def glance(self, artifact: Digest) -> None:
        """A quick look at every file of an artifact; see `Proof.glance`."""
        self._proof.glance(artifact)

    def verify(self, artifact: Digest, build_id: str) -> Verified:
        """The full check: every byte is read. Raises NotProven, naming the file."""
        return self._proof.verify(artifact, build_id)

    def materialise(self, manifest: Manifest, *, serving: Manifest | None = None) -> Path:
        """The folder to serve `manifest` from. Without `serving` every folder of it is looked at again."""
        return self._trees.materialise(manifest, serving)

    def lay_out(self, manifest: Manifest, folder: Path, links: Links = NO_LINKS) -> None:
        """Have `folder` hold exactly `manifest` as a tree of its own, for programs to run from: see `layout`."""
        layout.lay_out(self._blobs, manifest, folder, links)

    def hold_all(self) -> Hold:
        """Keep everything that is stored now, damaged or not, from being collected until the hold is released."""
        hold = self._holds.open()
        hold.artifact(*self._manifests.all())
        return hold

    def files(self) -> Iterator[Path]:
        """Every file of blobs and artifacts. What no artifact names may go meanwhile, unless it is held."""
        yield from (Path(one.path) for one in self._blobs.all())
        for root in self._manifests.all():
            yield from sorted(self._manifests.path(root).parent.iterdir())

    def hold(self, *artifacts: Digest) -> Hold:
        """Keep stored artifacts and their trees from being collected until the hold is released."""
        hold = self._holds.open()
        try:
            for root in artifacts:
                hold.artifact(root)
                hold.artifact(*self._manifests.chain(root))
        except BaseException:
            hold.release()
            raise
        return hold

    def release_trees(self, keep: Callable[[], Iterable[Digest]]) -> None:
        """Remove the trees of all artifacts but those that `keep` names when asked, and held ones."""
        with self._holds.sweeping():
            self._trees.release(lambda: [self.load(root) for root in {*keep(), *self._held()}])

    def collect(self, keep: Callable[[], Iterable[Digest]]) -> int:
        """Remove the artifacts that neither `keep` nor a hold names; the bytes freed."""
        return Collection(self._incoming, self._blobs, self._manifests, self._holds).run(keep)

    def scrub(self) -> list[Problem]:
        """Everything in the store that is not as it was stored; every byte is read."""
        return list(scrub(self._blobs, self._proof))

    def _held(self) -> set[Digest]:
        return {root for root in self._holds.artifacts() if self._manifests.path(root).exists()}
