"""An artifact as an image that a container engine can pull: a row of the ledger, and the rule for its layers.

An image has a chain of layers: the first holds a whole tree, each other what leads from the tree of the one before it
to its own. The next image of a site takes the chain over and adds one small layer. Layers are merged like the digits of
a binary counter, so each weighs more than twice what the next one does: there are few of them, and no byte is packed
again more often than the logarithm of the site's size. When most of a chain has been replaced, a new one begins.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

from gitdeploy.domain.digest import Digest
from gitdeploy.domain.manifest import EMPTY, Manifest
from gitdeploy.domain.tree import Entry, Folder
from gitdeploy.domain.tree_path import TreePath, show
from gitdeploy.errors import Invalid

MOST_LAYERS = 30
"""Of one chain; engines take 127 together with those of the base."""
WHITEOUT = b".wh."
"""What the name of a removed file begins with in a layer, by the OCI's specification."""

HOME = "/site"
"""Where an image of a site of files has a home with one environment, for our own edge."""
ENVIRONMENT = "sites/site/env"
FOLDER = "/app"
"""Where an image of an app has its files."""
PORT = 8080
EDGE = (
    "python3", "-m", "gitdeploy.runtime.edge", "--home", HOME, "--only", ENVIRONMENT, "--listen", f"0.0.0.0:{PORT}",
)  # fmt: skip
"""What serves an image of a site of files; its own command."""

_HEADER = 1024  # bytes that a name costs in a tar, whatever its file holds


@dataclass(frozen=True)
class Layer:
    """What leads to the tree `artifact`. `weight` is what the rule counts, `digest` and `size` (bytes) are those of the
    gzipped tar, `diff_id` the digest of the tar.
    """

    artifact: Digest
    weight: int
    digest: str
    diff_id: str
    size: int


@dataclass(frozen=True)
class Image:
    """A row of the ledger: `build` of `site` on the image `base`, as server.toml or gitdeploy.toml names that one.

    `kind` is app or files. `reference` is what an engine runs, `REG/name@sha256:…`. `chain` is the JSON of the layers
    that hold the artifact; `manifest` what the registry has under the digest, the bytes themselves.
    """

    site: str
    build: str
    base: str
    kind: str
    artifact: str
    reference: str
    manifest: bytes
    chain: str
    created_at: str

    @property
    def name(self) -> str:
        """`REG/name`."""
        return self.reference.partition("@")[0]

    @property
    def digest(self) -> str:
        """`sha256:…`."""
        return self.reference.partition("@")[2]

    @property
    def layers(self) -> tuple[Layer, ...]:
        said = json.loads(self.chain)
        return tuple(Layer(**{**one, "artifact": Digest(one["artifact"])}) for one in said)


def chain_text(layers: Sequence[Layer]) -> str:
    return json.dumps([asdict(one) for one in layers])


class Change(NamedTuple):
    """One entry of a layer: `entry` is put at `path`; without one the path is a folder, or gone."""

    path: TreePath
    kind: Literal["put", "folder", "gone"]
    entry: Entry | None = None


def changes(old: Manifest, new: Manifest) -> Iterator[Change]:
    """What leads from `old` to `new`, folders before what is in them. Raises Invalid for a name that no layer can hold.

    A file takes the place of whatever is there; a folder that of a file, and leaves what a folder there holds.
    """
    return _changes(old.folder, new.folder, b"")


def _changes(old: Folder | None, new: Folder, below: TreePath) -> Iterator[Change]:
    before = old.entries if old is not None else {}
    for name in sorted({*before, *new.entries}):
        was, now, path = before.get(name), new.entries.get(name), below + name
        if now is None:
            yield Change(path, "gone")
        elif isinstance(now, Folder):
            inside = was if isinstance(was, Folder) else None
            if inside is not None and inside.digest == now.digest:
                continue
            _check(name, path)
            yield Change(path, "folder")
            yield from _changes(inside, now, path + b"/")
        elif was != now:
            _check(name, path)
            yield Change(path, "put", now)


def _check(name: bytes, path: TreePath) -> None:
    if name.startswith(WHITEOUT):
        raise Invalid(
            f"{show(path)} cannot be part of an image: names that begin with .wh. mean a removed file there.",
            "Rename it.",
        )


def weight(old: Manifest, new: Manifest) -> int:
    """What a layer that leads from `old` to `new` costs, in bytes and before it is packed."""
    if not len(old):
        return new.bytes + _HEADER * len(new)
    found = (one for one in changes(old, new) if one.kind != "folder")
    return sum(_HEADER + (one.entry.size if one.entry else 0) for one in found)


class Growth(NamedTuple):
    """How the chain of an image comes of another: its first `kept` layers, and one that leads on from `below` (None:
    from nothing), unless `below` is the tree already.
    """

    kept: int
    below: Digest | None
    weight: int


def grow(chain: Sequence[Layer], new: Manifest, load: Callable[[Digest], Manifest]) -> Growth:
    """What `chain` becomes for the tree `new`. `load` gives the manifests of its artifacts; what it raises goes on."""
    for kept, layer in enumerate(chain, start=1):
        if layer.artifact == new.root:
            return Growth(kept, new.root, 0)
    kept = len(chain)
    added = weight(load(chain[-1].artifact) if chain else EMPTY, new)
    while kept and (2 * added >= chain[kept - 1].weight or kept >= MOST_LAYERS):
        kept -= 1
        added = weight(load(chain[kept - 1].artifact) if kept else EMPTY, new)
    whole = weight(EMPTY, new)
    if kept and sum(one.weight for one in chain[:kept]) + added > 2 * whole:
        kept, added = 0, whole
    return Growth(kept, chain[kept - 1].artifact if kept else None, added)
