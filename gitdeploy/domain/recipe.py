"""How the files of a site are made from its tree, as a value with an identity.

Two builds of the same tree with the same recipe, builder and variables are the same build: `build_key`
names it, so that what was built for a preview is found again when production asks for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Argv = tuple[str, ...]

APP = "app"
"""The kind of a program that is started, not a folder of files that is served."""

_NOT_SERVED = ("gitdeploy.toml", "Procfile")


@dataclass(frozen=True)
class Recipe:
    """`kind` is static, app, command or the tool's name (mkdocs, hugo, npm …).

    `commands` run one after the other in `root`; an empty tuple publishes `output` as it is. `env` are names
    of variables, `cache` and `output` folders below `root`. `timeout` is seconds, `memory` bytes.
    """

    kind: str
    reason: str
    commands: tuple[Argv, ...] = ()
    output: str = "."
    root: str = "."
    env: tuple[str, ...] = ()
    cache: tuple[str, ...] = ()
    network: bool = True
    timeout: int = 600
    memory: int = 2 * 1024**3
    hide: bool = False

    def as_json(self) -> dict[str, Any]:
        """Everything that can change the files that come out; neither the reason nor the limits can."""
        return {
            "kind": self.kind,
            "commands": [list(command) for command in self.commands],
            "output": self.output,
            "root": self.root,
            "env": sorted(self.env),
            "cache": sorted(self.cache),
            "network": self.network,
            "hide": self.hide,
        }

    @property
    def digest(self) -> str:
        """The recipe's identity: SHA-256 in hex of `as_json`."""
        return _sha256(self.as_json())

    def hides(self, path: str) -> bool:
        """Whether the file `path`, relative to the output folder, stays out of the artifact."""
        if not self.hide:
            return False
        return path in _NOT_SERVED or any(
            part.startswith(".") and part != ".well-known" for part in path.split("/")
        )


def shell(line: str) -> Argv:
    """The command of a line exactly as a person wrote it."""
    return ("sh", "-c", line)


def build_key(tree: str, recipe: Recipe, builder: str, variables: Mapping[str, str] | None = None) -> str:
    """SHA-256 in hex of what decides a build's result: tree id, recipe, builder id, declared variables."""
    declared = {name: value for name, value in (variables or {}).items() if name in recipe.env}
    return _sha256({"tree": tree, "recipe": recipe.digest, "builder": builder, "variables": declared})


def _sha256(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
