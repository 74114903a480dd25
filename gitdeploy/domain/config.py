"""Variables that a site is built or run with. Every change is a new version; a version never changes.

`BUILD` is the configuration that builds see, the same for every environment, so that what was built for a preview
can go live; `PREVIEW` is what the processes of every preview see; all other names are environments.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gitdeploy.domain.diff import Names
from gitdeploy.errors import Invalid

BUILD = "build"
PREVIEW = "preview"
LONGEST = 32 * 1024  # characters of one value; a process's whole environment has a limit too

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_OURS = frozenset({"PORT", "SOCKET", "PATH", "HOME", "TMPDIR"})


@dataclass(frozen=True)
class Variable:
    """`secret`: never shown, and masked in logs."""

    value: str
    secret: bool = False


Config = Mapping[str, Variable]


@dataclass(frozen=True)
class ConfigVersion:
    """A row of the ledger: the configuration `number` of `env`, whose `sealed` is encrypted JSON."""

    site: str
    env: str
    number: int
    created_at: str
    actor: str
    sealed: bytes


def check_name(name: str) -> None:
    """Raises Invalid unless `name` may be a variable of a site."""
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"{name[:80]!r} is not a variable's name.", "Use letters, digits and _, such as API_URL."
        )
    if name in _OURS or name.startswith("GITDEPLOY_"):
        raise Invalid(f"{name} is set by gitdeploy itself.", "Choose another name.")


def changed(config: Config, put: Config, removed: Iterable[str]) -> Config:
    """`config` with `put` in it and without `removed`. Raises Invalid naming the variable."""
    for name, variable in put.items():
        check_name(name)
        if len(variable.value) > LONGEST or "\0" in variable.value:
            raise Invalid(f"The value of {name} is too long or has a NUL.", "Keep large values in a file.")
    gone = set(removed)
    for name in gone - set(config):
        raise Invalid(f"{name} is not set.", "See: gitdeploy config list SITE")
    return {**{name: one for name, one in config.items() if name not in gone}, **put}


def difference(old: Config, new: Config) -> Names:
    """Names only, never values."""
    return {
        "added": sorted(set(new) - set(old)),
        "changed": sorted(name for name in set(old) & set(new) if old[name] != new[name]),
        "removed": sorted(set(old) - set(new)),
    }


def as_json(config: Config) -> dict[str, Any]:
    return {name: {"value": one.value, "secret": one.secret} for name, one in sorted(config.items())}


def from_json(said: Mapping[str, Any]) -> Config:
    return {name: Variable(str(one["value"]), bool(one["secret"])) for name, one in said.items()}
