"""What a registry holds, by the OCI's image specification: references, manifests, configs and indexes as bytes.

Formats: github.com/opencontainers/image-spec. The same input gives the same bytes, and so the same digest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from gitdeploy.domain.digest import Digest
from gitdeploy.errors import Invalid

Document: TypeAlias = Mapping[str, Any]
Descriptor: TypeAlias = dict[str, Any]
"""`{mediaType, digest, size}` and more: how one document names another."""

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
EMPTY = "application/vnd.oci.empty.v1+json"
ENVELOPE = "application/vnd.dsse.envelope.v1+json"
PROVENANCE = "application/vnd.gitdeploy.provenance.v1"
"""The type of the artifact that says where an image comes from."""
ACCEPTED = (
    MANIFEST,
    INDEX,
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
NOTHING = b"{}"
"""The config of what is no image."""

ARTIFACT_LABEL = "gitdeploy.artifact"
SITE_LABEL = "gitdeploy.site"

_SAME_AS = {"application/vnd.docker.image.rootfs.diff.tar.gzip": LAYER}
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:(?P<host>localhost|[A-Za-z0-9.-]+\.[A-Za-z0-9.-]+|[A-Za-z0-9.-]+(?=:)|\[[0-9a-f:]+\])(?P<port>:[0-9]+)?/)?"
    rf"(?P<name>{_PART}(?:/{_PART})*)(?::(?P<tag>\w[\w.-]{{0,127}}))?(?:@(?P<digest>sha256:[0-9a-f]{{64}}))?"
)


@dataclass(frozen=True)
class Reference:
    """`host` is a registry's address, `name` that of a repository in it, `what` a tag or `sha256:…`."""

    host: str
    name: str
    what: str

    @classmethod
    def parse(cls, text: str) -> Reference:
        """As `docker pull` reads it: without a registry it is one of Docker Hub's. Raises Invalid."""
        found = _REFERENCE.fullmatch(text)
        if found is None or len(text) > 500:
            raise Invalid(
                f"{text[:80]!r} is no name of an image.", "Such as registry.example.org/python:3.12-slim."
            )
        what = found["digest"] or found["tag"] or "latest"
        if not found["host"]:
            name = found["name"] if "/" in found["name"] else f"library/{found['name']}"
            return cls("registry-1.docker.io", name, what)
        return cls(found["host"] + (found["port"] or ""), found["name"], what)


def digest_of(data: bytes) -> str:
    return f"sha256:{Digest.of(data)}"


def text(document: Document) -> bytes:
    """The one form in which a document is written."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def descriptor(media_type: str, data: bytes, **more: Any) -> Descriptor:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data), **more}


def layer(digest: str, size: int) -> Descriptor:
    return {"mediaType": LAYER, "digest": digest, "size": size}


@dataclass(frozen=True)
class Base:
    """The image that files are put on: its config and the layers that it has. Nothing at all: from scratch."""

    config: Document
    layers: tuple[Descriptor, ...] = ()

    @classmethod
    def of(cls, manifest: Document, config: Document) -> Base:
        """Raises Invalid for what is no image of gzipped layers."""
        try:
            layers = tuple(
                {"mediaType": _SAME_AS.get(one["mediaType"], one["mediaType"]),
                 "digest": one["digest"], "size": int(one["size"])}
                for one in manifest["layers"]
            )  # fmt: skip
            same = len(config["rootfs"]["diff_ids"]) == len(layers)
        except (LookupError, TypeError, ValueError) as error:
            raise Invalid("The base is no image.", "See base in gitdeploy.toml or server.toml.") from error
        if not same:
            raise Invalid("The base has another number of layers than its config says.", "Push it anew.")
        return cls(config, layers)


def scratch(architecture: str) -> Base:
    return Base({"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}})


def config(
    base: Base, diff_ids: Sequence[str], *, folder: str, labels: Mapping[str, str], said: Mapping[str, Any]
) -> bytes:
    """The base's own config with more layers, the working folder and labels; `said` takes the place of its command."""
    run = dict(base.config.get("config") or {})
    run |= {"WorkingDir": folder, "Labels": {**(run.get("Labels") or {}), **labels}, **said}
    own = [{"created_by": "gitdeploy", "created": _EPOCH} for _ in diff_ids]
    kept = ("architecture", "os", "os.version", "variant")
    return text(
        {
            **{name: base.config[name] for name in kept if name in base.config},
            "created": _EPOCH,
            "config": run,
            "rootfs": {"type": "layers", "diff_ids": [*base.config["rootfs"]["diff_ids"], *diff_ids]},
            "history": [*(base.config.get("history") or []), *own],
        }
    )


def manifest(config: bytes, layers: Sequence[Descriptor]) -> bytes:
    return text(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, config),
            "layers": list(layers),
        }
    )


def attached(subject: Descriptor, envelopes: Sequence[bytes]) -> bytes:
    """What carries signed envelopes to an image."""
    return text(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": PROVENANCE,
            "config": descriptor(EMPTY, NOTHING),
            "layers": [descriptor(ENVELOPE, one) for one in envelopes],
            "subject": subject,
        }
    )


def index(found: Sequence[Descriptor]) -> bytes:
    return text({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(found)})


def referrers_tag(digest: str) -> str:
    """Where what refers to an image is listed by a registry that does not list it by itself."""
    return digest.replace(":", "-")


def blobs_of(manifest: Document) -> list[Descriptor]:
    """All that has to be there before the manifest."""
    return [manifest["config"], *manifest["layers"]]


def for_platform(index: Document, architecture: str) -> str:
    """The digest of the image for Linux on `architecture` (as Go calls it). Raises Invalid."""
    for one in index.get("manifests", ()):
        platform = one.get("platform") or {}
        if (platform.get("os"), platform.get("architecture")) == ("linux", architecture):
            return str(one["digest"])
    raise Invalid(f"The base is not there for linux/{architecture}.", "Name an image that is.")


_EPOCH = "1970-01-01T00:00:00Z"
