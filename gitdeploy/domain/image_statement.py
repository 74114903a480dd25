"""What is signed about an image: an in-toto Statement v1 that binds its digest to the artifact that it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gitdeploy.domain.digest import Digest
from gitdeploy.domain.statement import STATEMENT_TYPE, check_build_id
from gitdeploy.errors import Invalid

IMAGE_TYPE = "gitdeploy:image/v1"


@dataclass(frozen=True)
class ImageStatement:
    """The image `digest` holds `artifact`, which `build_id` made for `site` (an id), on the base with the digest `base`
    ("": on none).
    """

    digest: Digest
    artifact: Digest
    build_id: str
    site: str
    base: str

    def as_json(self) -> dict[str, Any]:
        """The whole in-toto statement."""
        return {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": self.site, "digest": {"sha256": self.digest}}],
            "predicateType": IMAGE_TYPE,
            "predicate": {"artifact": self.artifact, "build": self.build_id, "base": self.base},
        }

    @classmethod
    def parse(cls, document: Any) -> ImageStatement:
        """What a JSON document claims. Raises Invalid unless it is exactly what `as_json` gives."""
        try:
            subject, predicate = document["subject"][0], document["predicate"]
            found = cls(
                digest=Digest.parse(subject["digest"]["sha256"]),
                artifact=Digest.parse(predicate["artifact"]),
                build_id=predicate["build"],
                site=subject["name"],
                base=predicate["base"],
            )
            check_build_id(found.build_id)
            same = found.as_json() == document
        except (LookupError, TypeError, AttributeError) as error:
            raise Invalid("The statement is not about an image.") from error
        if not same:
            raise Invalid("The statement says something that gitdeploy does not say of an image.")
        return found
