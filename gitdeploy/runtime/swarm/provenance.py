"""What an image carries with it: the signed statement of the build that made its files, and one of ours that binds the
image to them. It hangs on the image as the OCI has it: a manifest whose `subject` the image is, found by the registry's
list of referrers, or by the tag that stands for it where the registry keeps no such list.
"""

from __future__ import annotations

import json

from gitdeploy.domain import oci
from gitdeploy.domain.digest import Digest
from gitdeploy.domain.image import Image
from gitdeploy.domain.image_statement import ImageStatement
from gitdeploy.domain.oci import Descriptor, Reference
from gitdeploy.domain.statement import PAYLOAD_TYPE, Statement
from gitdeploy.errors import Invalid, NotFound, NotProven
from gitdeploy.runtime.swarm.registry import Registry
from gitdeploy.store.signing import Keys

_AGAIN = "Find out who wrote to the registry; delete the image there and deploy again: it is pushed anew."


def attach(registry: Registry, keys: Keys, image: Image, envelope: bytes, said: ImageStatement) -> int:
    """Put the build's `envelope` and the signed `said` beside an image that is there; the bytes that were moved."""
    name = Reference.parse(image.reference).name
    bound = keys.sign(PAYLOAD_TYPE, oci.text(said.as_json()))
    subject = oci.descriptor(oci.MANIFEST, image.manifest)
    body = oci.attached(subject, [envelope, bound])
    moved = sum(registry.put_blob(name, one) for one in (oci.NOTHING, envelope, bound))
    answer = registry.put_manifest(name, oci.digest_of(body), body, oci.MANIFEST)
    if answer.get("OCI-Subject") != image.digest:
        _list(registry, name, image.digest, oci.descriptor(oci.MANIFEST, body, artifactType=oci.PROVENANCE))
    return moved + len(body)


def is_there(registry: Registry, image: Image) -> bool:
    """Whether the registry has the image with all its layers and something that says where it comes from."""
    name = Reference.parse(image.reference).name
    if not registry.has_manifest(name, image.digest) or not _carried(registry, name, image.digest):
        return False
    return all(registry.has_blob(name, one["digest"]) for one in oci.blobs_of(json.loads(image.manifest)))


def verify(registry: Registry, keys: Keys, image: Image, site: str) -> None:
    """Read back from the registry what the image is and what is signed about it; `site` is an id.

    Raises NotProven unless a trusted key signed that this very image holds the artifact, and that a build of ours made
    that artifact for the site.
    """
    name = Reference.parse(image.reference).name
    if registry.manifest(name, image.digest) is None:
        raise NotProven(f"The registry has no image {image.reference}.", _AGAIN)
    carried = _carried(registry, name, image.digest)
    if not carried:
        raise NotProven(f"The image {image.reference} carries no provenance.", _AGAIN)
    flaw = NotProven(f"The image {image.reference} carries no provenance of build {image.build}.", _AGAIN)
    for one in carried:
        try:
            return _check(registry, keys, name, str(one["digest"]), image, site)
        except NotProven as error:
            flaw = error
    raise flaw


def remove(registry: Registry, image: Image) -> None:
    """Delete the image with what it carries; what is gone already is fine."""
    name = Reference.parse(image.reference).name
    for one in _carried(registry, name, image.digest):
        registry.delete_manifest(name, str(one["digest"]))
    if (listed := registry.manifest(name, oci.referrers_tag(image.digest))) is not None:
        registry.delete_manifest(name, listed.digest)
    registry.delete_manifest(name, image.digest)


def _check(registry: Registry, keys: Keys, name: str, digest: str, image: Image, site: str) -> None:
    found = registry.manifest(name, digest)
    if found is None:
        raise NotProven(f"What the image {image.reference} carries is not in the registry.", _AGAIN)
    try:
        layers = found.document["layers"]
        build, bound = (registry.blob(name, one["digest"]) for one in layers)
        statement = Statement.parse(json.loads(keys.open(build, PAYLOAD_TYPE)))
        said = ImageStatement.parse(json.loads(keys.open(bound, PAYLOAD_TYPE)))
    except NotFound as error:
        raise NotProven(
            f"What the image {image.reference} carries is not in the registry.", _AGAIN
        ) from error
    except NotProven as error:
        raise NotProven(f"The image {image.reference} is not proven: {error.message}", _AGAIN) from error
    except (Invalid, ValueError, LookupError, TypeError) as error:
        raise NotProven(f"What the image {image.reference} carries is no provenance.", _AGAIN) from error
    for what, claimed, wanted in (
        ("another image", f"sha256:{said.digest}", image.digest),
        ("another artifact", said.artifact, image.artifact),
        ("another artifact", statement.artifact, image.artifact),
        ("another site", said.site, site),
        ("another site", statement.site, site),
        ("another build", said.build_id, statement.build_id),
    ):
        if claimed != wanted:
            raise NotProven(f"What the image {image.reference} carries is about {what}.", _AGAIN)


def _carried(registry: Registry, name: str, digest: str) -> list[Descriptor]:
    """The provenance that is attached to an image."""
    listed = registry.referrers(name, digest) or _listed(registry, name, digest)
    return [one for one in listed if one.get("artifactType") == oci.PROVENANCE]


def _listed(registry: Registry, name: str, digest: str) -> list[Descriptor]:
    found = registry.manifest(name, oci.referrers_tag(digest))
    if found is None:
        return []
    try:
        listed = [dict(one) for one in found.document["manifests"]]
        return [one for one in listed if registry.has_manifest(name, one["digest"])]
    except (ValueError, LookupError, TypeError) as error:
        raise NotProven(f"What the image {digest[:19]} carries cannot be read.", _AGAIN) from error


def _list(registry: Registry, name: str, digest: str, one: Descriptor) -> None:
    """Name it in the list that a tag stands for, beside what others have put there."""
    found = [old for old in _listed(registry, name, digest) if old.get("digest") != one["digest"]]
    registry.put_manifest(name, oci.referrers_tag(digest), oci.index([*found, one]), oci.INDEX)


def statement_of(image_digest: str, artifact: str, build_id: str, site: str, base: str) -> ImageStatement:
    return ImageStatement(
        Digest.parse(image_digest.removeprefix("sha256:")), Digest.parse(artifact), build_id, site, base
    )
