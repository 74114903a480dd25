"""Pushing the image of a build: layers first, then config, manifest and provenance, so that what is there is whole.

The first push of a site moves all its files, each other what changed since an image that is there. Layers of the base
are taken over from where it lies.
"""

from __future__ import annotations

import json
import platform
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from gitdeploy.domain import image as chains
from gitdeploy.domain import oci
from gitdeploy.domain.build import Build
from gitdeploy.domain.digest import Digest
from gitdeploy.domain.image import EDGE, ENVIRONMENT, FOLDER, HOME, Growth, Image, Layer
from gitdeploy.domain.oci import Base, Descriptor, Reference
from gitdeploy.domain.serving import Rules
from gitdeploy.domain.site import Site
from gitdeploy.errors import Invalid, NotFound, NotProven
from gitdeploy.runtime.swarm import provenance
from gitdeploy.runtime.swarm.registry import Registry
from gitdeploy.service.context import Context
from gitdeploy.service.serving import Proven
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock
from gitdeploy.store.layer import Packed, Text, pack_texts

_SLOT = f"{HOME[1:]}/{ENVIRONMENT}/slots/one".encode()
_ABOVE = {"app": FOLDER[1:].encode(), "files": _SLOT + b"/root"}
_RECENT = 8
"""So many images of a site are looked at for the one that the next resembles most."""
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def name(ctx: Context, site: Site) -> str:
    """The repository that the images of a site are in, `REG/name`."""
    return f"{ctx.server.swarm.registry.rstrip('/')}/{site.id.lower()}"


@dataclass
class Push:
    """One push of one image; `moved` counts the bytes that went to the registry."""

    ctx: Context
    site: Site
    source: Build
    proven: Proven
    kind: str
    base: str
    registry: Registry
    teller: Teller
    moved: int = field(default=0, init=False)

    def run(self) -> Image:
        self.ctx.home.work.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opened:
            folder = opened.enter_context(
                tempfile.TemporaryDirectory(prefix="image-", dir=self.ctx.home.work)
            )
            self._folder = Path(folder)
            found = Reference.parse(self.base)
            where = self.registry
            if found.host != self.registry.host:
                where = opened.enter_context(Registry(found.host))
            base, digest = read_base(where, found)
            for blob in base.layers:
                self.moved += self.registry.take_over(self._repository, blob, where, found.name)
            chain = self._chain()
            own = [oci.layer(one.digest, one.size) for one in chain]
            diff_ids = [one.diff_id for one in chain]
            if (extra := self._extra()) is not None:
                own.append(oci.layer(extra.digest, extra.size))
                diff_ids.append(extra.diff_id)
            image = self._record(base, own, diff_ids, chain)
            self._attach(image, digest)
        layers = f"{len(own)} layer{'s' * (len(own) != 1)}"
        self.teller.detail(
            f"image {image.digest[7:19]} pushed to {image.name}: {layers} on {self.base}, {self.moved} bytes moved"
        )
        return image

    @property
    def _repository(self) -> str:
        return Reference.parse(name(self.ctx, self.site)).name

    def _chain(self) -> list[Layer]:
        """The layers that hold the artifact, all of them in the registry."""
        recent = self.ctx.ledger.images.where(
            site=self.site.name, kind=self.kind, order="created_at DESC", limit=_RECENT
        )
        options = [(growth, one) for one in {one.layers for one in recent} if (growth := self._growth(one))]
        for growth, chain in sorted(options, key=lambda one: one[0].weight):
            try:
                with self.ctx.store.hold(*(one.artifact for one in chain[: growth.kept])):
                    return self._grown(growth, chain)
            except (NotFound, NotProven):
                continue  # something that this chain is made of is no longer stored
        whole = self._growth(())
        assert whole is not None
        return self._grown(whole, ())

    def _growth(self, chain: tuple[Layer, ...]) -> Growth | None:
        try:
            return chains.grow(chain, self.proven.manifest, self.ctx.store.load)
        except (NotFound, NotProven):
            return None

    def _grown(self, growth: Growth, chain: tuple[Layer, ...]) -> list[Layer]:
        layers: list[Layer] = []
        below: Digest | None = None
        for one in chain[: growth.kept]:
            there = self.registry.has_blob(self._repository, one.digest)
            layers.append(one if there else self._pack(below, one.artifact, one.weight))
            below = one.artifact
        root = self.proven.manifest.root
        if growth.below != root:
            layers.append(self._pack(growth.below, root, growth.weight))
        return layers

    def _pack(self, below: Digest | None, artifact: Digest, weight: int) -> Layer:
        path = self._folder / f"{artifact}.tar.gz"
        packed = self.ctx.store.pack(below, artifact, _ABOVE[self.kind], path)
        self._put(packed)
        return Layer(artifact, weight, packed.digest, packed.diff_id, packed.size)

    def _extra(self) -> Packed | None:
        """What makes the files of a site a home that our edge serves."""
        if self.kind == "app":
            return None
        rules = self.proven.rules
        serves = "files" if rules == Rules() else "rules"
        texts = {
            _SLOT.rpartition(b"/slots/")[0] + b"/current": Text(target=b"slots/one"),
            _SLOT + f"/at:site:env:one:{serves}".encode(): Text(),
        }
        if rules != Rules():
            texts[_SLOT + b"/rules.json"] = Text(json.dumps(rules.as_json(), sort_keys=True).encode())
        packed = pack_texts(texts, self._folder / "extra.tar.gz")
        self._put(packed)
        return packed

    def _put(self, packed: Packed) -> None:
        self.moved += self.registry.put_file(self._repository, packed.digest, packed.size, packed.path)
        packed.path.unlink()

    def _record(self, base: Base, own: list[Descriptor], diff_ids: list[str], chain: list[Layer]) -> Image:
        """Push config and manifest. The row is there first: what is half pushed can be deleted."""
        folder, said = (FOLDER, {}) if self.kind == "app" else (HOME, {"Entrypoint": [], "Cmd": list(EDGE)})
        artifact = self.proven.manifest.root
        labels = {oci.ARTIFACT_LABEL: artifact, oci.SITE_LABEL: self.site.id}
        config = oci.config(base, diff_ids, folder=folder, labels=labels, said=said)
        manifest = oci.manifest(config, [*base.layers, *own])
        image = Image(
            site=self.site.name, build=self.source.id, base=self.base, kind=self.kind, artifact=artifact,
            reference=f"{name(self.ctx, self.site)}@{oci.digest_of(manifest)}", manifest=manifest,
            chain=chains.chain_text(chain), created_at=clock.now(),
        )  # fmt: skip
        with self.ctx.ledger.atomic():
            self.ctx.ledger.images.remove(image)
            self.ctx.ledger.images.add(image)
        self.moved += self.registry.put_blob(self._repository, config) + len(manifest)
        # With a tag, as many registries collect what has none.
        self.registry.put_manifest(self._repository, self.source.id, manifest, oci.MANIFEST)
        return image

    def _attach(self, image: Image, base: str) -> None:
        envelope = self.ctx.store.envelope(Digest.parse(image.artifact), image.build)
        said = provenance.statement_of(image.digest, image.artifact, image.build, self.site.id, base)
        self.moved += provenance.attach(self.registry, self.ctx.store.keys, image, envelope, said)


def read_base(registry: Registry, named: Reference) -> tuple[Base, str]:
    """An image to put files on, and its digest: for Linux on this machine's architecture. Raises Invalid."""
    architecture = _MACHINES.get(platform.machine(), platform.machine())
    found = registry.manifest(named.name, named.what)
    if found is not None and "manifests" in found.document:
        found = registry.manifest(named.name, oci.for_platform(found.document, architecture))
    if found is None:
        raise Invalid(
            f"There is no image {named.host}/{named.name} {named.what[:19]}.",
            "See base and files in [swarm] of server.toml, and base in [runtime] of gitdeploy.toml.",
        )
    manifest = found.document
    if "config" not in manifest:
        raise Invalid(f"The base {named.name} is of a format that is too old.", "Push it again.")
    config = json.loads(registry.blob(named.name, manifest["config"]["digest"]))
    if config.get("architecture") != architecture:
        raise Invalid(
            f"The base {named.name} is for {config.get('architecture')}, not for {architecture}.",
            "Name an image that is for this machine.",
        )
    return Base.of(manifest, config), found.digest
