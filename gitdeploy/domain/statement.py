"""What is signed about a build: an in-toto Statement v1 with SLSA Provenance v1 as its predicate.

Formats: https://in-toto.io/Statement/v1 and https://slsa.dev/provenance/v1. Their fields, as used here, are
listed in docs/store-format.md. A statement with a field that is not listed there is not accepted: what we do
not understand we cannot have checked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gitdeploy.domain.digest import Digest
from gitdeploy.errors import Invalid

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "gitdeploy:build/v1"
BUILDERS = "gitdeploy/"  # what the id of every builder of ours begins with

_BUILD_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_GIT_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@dataclass(frozen=True)
class Statement:
    """Build `build_id` made `artifact` for `site` from a git commit and its tree, by `recipe`.

    `recipe` and `settings` (how the release is served) are what JSON can hold. `builder` begins with
    `BUILDERS`, `commit` and `tree` are git object ids, times UTC ISO 8601 ending in Z.
    """

    site: str
    artifact: Digest
    build_id: str
    builder: str
    commit: str
    tree: str
    recipe: Mapping[str, Any]
    settings: Mapping[str, Any]
    started_on: str
    finished_on: str

    def __post_init__(self) -> None:
        check_build_id(self.build_id)
        for name, text, form in (
            ("commit", self.commit, _GIT_ID),
            ("tree", self.tree, _GIT_ID),
            ("start", self.started_on, _TIME),
            ("end", self.finished_on, _TIME),
        ):
            if not form.fullmatch(text):
                raise Invalid(f"The {name} of the build's statement is {text[:80]!r}.")

    def as_json(self) -> dict[str, Any]:
        """The whole in-toto statement."""
        return {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": self.site, "digest": {"sha256": self.artifact}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "buildDefinition": {
                    "buildType": BUILD_TYPE,
                    "externalParameters": {
                        "site": self.site,
                        "recipe": dict(self.recipe),
                        "settings": dict(self.settings),
                    },
                    "resolvedDependencies": [
                        {"name": "commit", "digest": {"gitCommit": self.commit}},
                        {"name": "tree", "digest": {"gitTree": self.tree}},
                    ],
                },
                "runDetails": {
                    "builder": {"id": self.builder},
                    "metadata": {
                        "invocationId": self.build_id,
                        "startedOn": self.started_on,
                        "finishedOn": self.finished_on,
                    },
                },
            },
        }

    @classmethod
    def parse(cls, document: Any) -> Statement:
        """What a JSON document claims. Raises Invalid unless it is exactly what `as_json` gives."""
        try:
            definition = document["predicate"]["buildDefinition"]
            parameters = definition["externalParameters"]
            commit, tree = definition["resolvedDependencies"]
            details = document["predicate"]["runDetails"]
            statement = cls(
                site=parameters["site"],
                artifact=Digest.parse(document["subject"][0]["digest"]["sha256"]),
                build_id=details["metadata"]["invocationId"],
                commit=commit["digest"]["gitCommit"],
                tree=tree["digest"]["gitTree"],
                recipe=parameters["recipe"],
                settings=parameters["settings"],
                started_on=details["metadata"]["startedOn"],
                finished_on=details["metadata"]["finishedOn"],
                builder=details["builder"]["id"],
            )
            same = statement.as_json() == document
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise Invalid("The statement is not the provenance of a build.") from error
        if not same:
            raise Invalid("The statement says something that a gitdeploy build does not say.")
        return statement


def check_build_id(text: str) -> None:
    """Raise Invalid unless `text` can name a build, and so a file."""
    if not _BUILD_ID.fullmatch(text):
        raise Invalid(f"{text[:80]!r} is not a build id.")
