"""What runs on a swarm: programs of a release as services, known by their labels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from gitdeploy.domain.app import Check

ZONE = "gitdeploy.internal"
"""Names of sites within the swarm's network end in this, so that no other name can be meant."""
LABEL = "gitdeploy"
"""What the labels of everything begin with that is ours."""
DRAIN = 3
"""Seconds that a program of the web goes on after it has left the DNS, for those who asked before."""
_LONGEST = 63  # characters of a service's name


@dataclass(frozen=True)
class Unit:
    """One program of a release. `site` is the site's id, `env` the environment's folder; `line` the shell line, run in
    `folder`; `environment` and `secrets` are variables, of which only the first may be seen; `replicas` None is one on
    each node; `memory` bytes for each, 0 for no bound; `stop_timeout` seconds; `hosts` the names that visitors use;
    `placement` the engine's constraints.
    """

    name: str
    site: str
    env: str
    program: str
    release: str
    image: str
    line: str
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    replicas: int | None = 1
    memory: int = 0
    stop_timeout: int = 30
    check: Check | None = None
    hosts: tuple[str, ...] = ()
    placement: tuple[str, ...] = ()
    folder: str = "/app"

    @property
    def secret(self) -> str:
        """The name of the engine's secret that holds the secret variables; a release's never change."""
        return service_name(self.site, self.env, self.release)

    @property
    def marks(self) -> dict[str, str]:
        """By which a container is known. They are the same however many there are, so that scaling touches none."""
        return {
            f"{LABEL}.site": self.site,
            f"{LABEL}.env": self.env,
            f"{LABEL}.program": self.program,
            f"{LABEL}.release": self.release,
        }

    @property
    def labels(self) -> dict[str, str]:
        """By which a service is known, and whether it is what is wanted."""
        return {**self.marks, f"{LABEL}.wanted": self.digest}

    @property
    def digest(self) -> str:
        """Equal for equal units; tells nothing of secrets."""
        said = {**asdict(self), "secrets": sorted(self.secrets), "name": ""}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]


def service_name(*parts: str) -> str:
    """`shop-production-web`; cut, and ending in a hash of all of it, where that is too long for the engine."""
    plain = "-".join(parts)
    if len(plain) <= _LONGEST:
        return plain
    return f"{plain[: _LONGEST - 9]}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}"


def alias(host: str) -> str:
    """What a host is called within the swarm's network."""
    return f"{host}.{ZONE}"
