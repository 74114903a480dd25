"""Proof that an artifact is what was built, before anything is pointed at it; and the full check.

What is asked for: an envelope signed by a trusted key, saying that this builder made exactly this artifact
for this site from this git tree; a manifest that hashes to the artifact's name; and the blobs it names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Set
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from gitdeploy.domain.content_diff import diff
from gitdeploy.domain.digest import Digest
from gitdeploy.domain.manifest import EMPTY, Manifest
from gitdeploy.domain.statement import BUILDERS, PAYLOAD_TYPE, Statement, check_build_id
from gitdeploy.domain.tree import Entry
from gitdeploy.domain.tree_path import TreePath, show
from gitdeploy.errors import Invalid, NotFound, NotProven
from gitdeploy.store import durable
from gitdeploy.store.blobs import Blobs
from gitdeploy.store.manifests import Manifests
from gitdeploy.store.signing import Keys

_REBUILD = "Build the commit again with redeploy."


@dataclass(frozen=True)
class Verified:
    """What a full check has seen: the number of files and the bytes it read, and what is signed."""

    statement: Statement
    files: int
    bytes: int


@dataclass(frozen=True)
class Proof:
    blobs: Blobs
    manifests: Manifests
    keys: Keys

    def attest(self, statement: Statement) -> None:
        """Sign what a build did and file it with the artifact, which has to be stored."""
        self.manifests.load(statement.artifact)
        payload = json.dumps(statement.as_json(), sort_keys=True).encode()
        durable.write_file(
            self._path(statement.artifact, statement.build_id), self.keys.sign(PAYLOAD_TYPE, payload)
        )

    def prove(
        self,
        artifact: Digest,
        build_id: str,
        *,
        site: str,
        tree: str,
        serving: Manifest | None,
        fresh: Set[Digest],
    ) -> Statement:
        """Raises NotProven, naming the file, unless the artifact can go live.

        Only what differs from `serving` is looked at, and hashed again unless it is `fresh`: a file that is
        served now is the very blob that visitors already get.
        """
        statement = self.stated(artifact, build_id)
        if statement.site != site:
            raise NotProven(
                f"Artifact {artifact.short} was built for {statement.site}, not for {site}.",
                _REBUILD,
            )
        if statement.tree != tree:
            raise NotProven(
                f"Artifact {artifact.short} was built from the git tree {statement.tree[:12]}, "
                f"not from {tree[:12]}.",
                _REBUILD,
            )
        manifest = self._manifest(artifact)
        for path, entry in _changed(serving or EMPTY, manifest):
            self._blob(artifact, path, entry, hashed=entry.digest not in fresh)
        return statement

    def glance(self, artifact: Digest) -> None:
        """Whether every file is there with its size and time, no byte read. Raises NotProven, naming the file."""
        for path, entry in self._manifest(artifact).folder.walk():
            self._blob(artifact, path, entry, hashed=False)

    def verify(self, artifact: Digest, build_id: str) -> Verified:
        """Everything again, every byte. Raises NotProven, naming the file."""
        statement = self.stated(artifact, build_id)
        manifest = self.check(artifact)
        return Verified(statement, manifest.files, manifest.bytes)

    def check(self, artifact: Digest) -> Manifest:
        """Every byte, whatever is signed about it. Raises NotProven, naming the file."""
        manifest = self._manifest(artifact)
        seen: set[Digest] = set()
        for path, entry in manifest.folder.walk():
            self._blob(artifact, path, entry, hashed=entry.digest not in seen)
            seen.add(entry.digest)
        return manifest

    def stated(self, artifact: Digest, build_id: str) -> Statement:
        """What is signed about this build of the artifact. Raises NotProven."""
        envelope = self.envelope(artifact, build_id)
        try:
            statement = Statement.parse(json.loads(self.keys.open(envelope, PAYLOAD_TYPE)))
        except (Invalid, ValueError) as error:
            raise NotProven(
                f"What is signed for build {build_id} is no provenance: {error}", _REBUILD
            ) from error
        if statement.artifact != artifact or statement.build_id != build_id:
            raise NotProven(
                f"The envelope of build {build_id} is about build {statement.build_id} of "
                f"{statement.artifact.short}, not about {artifact.short}.",
                _REBUILD,
            )
        if not statement.builder.startswith(BUILDERS):
            raise NotProven(f"Build {build_id} was made by {statement.builder[:80]!r}, not by us.", _REBUILD)
        return statement

    def envelope(self, artifact: Digest, build_id: str) -> bytes:
        """What is filed as signed about this build of the artifact, unread. Raises NotProven."""
        check_build_id(build_id)
        try:
            return self._path(artifact, build_id).read_bytes()
        except FileNotFoundError as error:
            raise NotProven(
                f"Nothing is signed for build {build_id} of {artifact.short}.", _REBUILD
            ) from error

    def envelopes(self, artifact: Digest) -> list[str]:
        """The ids of the builds that something is signed for."""
        folder = self.manifests.path(artifact).parent
        return sorted(one.name.removesuffix(".dsse.json") for one in folder.glob("*.dsse.json"))

    def _path(self, artifact: Digest, build_id: str) -> Path:
        return self.manifests.path(artifact).with_name(f"{build_id}.dsse.json")

    def _manifest(self, artifact: Digest) -> Manifest:
        try:
            return self.manifests.load(artifact)
        except NotFound as error:
            raise NotProven(error.message, error.hint) from error

    def _blob(self, artifact: Digest, path: TreePath, entry: Entry, *, hashed: bool) -> None:
        if entry.kind == "link":
            return
        look = self.blobs.flaw_inside if hashed else self.blobs.flaw
        if flaw := look(entry.digest, entry.size):
            raise NotProven(f"{show(path)} in artifact {artifact.short} {flaw}.", _REBUILD)


def _changed(old: Manifest, new: Manifest) -> Iterator[tuple[TreePath, Entry]]:
    change = diff(old, new)
    return ((path, new[path]) for path in chain(change.added, change.changed))
