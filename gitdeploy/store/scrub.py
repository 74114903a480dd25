"""Looking through the whole store for what is not as it was stored."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gitdeploy.domain.digest import Digest
from gitdeploy.domain.tree_path import show
from gitdeploy.errors import GitdeployError, Invalid
from gitdeploy.store.blobs import Blobs
from gitdeploy.store.proof import Proof


@dataclass(frozen=True)
class Problem:
    """`where` is a path below the store, `what` a sentence."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def scrub(blobs: Blobs, proof: Proof) -> Iterator[Problem]:
    """Every blob is hashed; every artifact's manifest, envelopes and files are looked at."""
    for found in blobs.all():
        if flaw := _flaw(blobs, found):
            yield Problem(f"blobs/{Path(found.path).parent.name}/{found.name}", f"The blob {flaw}.")
    for root in proof.manifests.all():
        # A folder with neither is what a crash left of an artifact that never was.
        if proof.manifests.path(root).exists() or proof.envelopes(root):
            yield from _artifact(proof, root)


def _flaw(blobs: Blobs, found: os.DirEntry[str]) -> str | None:
    try:
        digest = Digest.parse(found.name)
    except Invalid:
        return "is not named by a digest"
    if found.path != blobs.path(digest):
        return "lies in the wrong folder"
    return blobs.flaw_inside(digest, found.stat(follow_symlinks=False).st_size)


def _artifact(proof: Proof, root: Digest) -> Iterator[Problem]:
    where = f"artifacts/{root}"
    try:
        for path, entry in proof.manifests.load(root).folder.walk():
            flaw = proof.blobs.flaw(entry.digest, entry.size) if entry.kind != "link" else None
            if flaw:
                yield Problem(where, f"{show(path)} {flaw}.")
    except GitdeployError as error:
        yield Problem(f"{where}/manifest.gz", error.message)
    for build_id in proof.envelopes(root):
        try:
            proof.stated(root, build_id)
        except GitdeployError as error:
            yield Problem(f"{where}/{build_id}.dsse.json", error.message)
