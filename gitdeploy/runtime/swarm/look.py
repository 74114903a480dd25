"""What is there of the engine, looked at for whoever wants to know whether all is well."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import docker

from gitdeploy.runtime.swarm.edge import NAME
from gitdeploy.runtime.swarm.engine import Engine

OLDEST = (1, 41)
"""The engine's API that jobs came with (Docker 20.10)."""


@dataclass(frozen=True)
class Sight:
    """`api` is the version that the managers speak; `away` names nodes that are down or drained, `managers` how many of
    how many managers answer; `edges` on how many nodes the edge runs; `ahead` is by how many seconds the engine's clock
    differs from ours.
    """

    api: tuple[int, int]
    nodes: int
    away: tuple[str, ...]
    managers: tuple[int, int]
    edges: int
    ahead: float

    @property
    def is_too_old(self) -> bool:
        return self.api < OLDEST


def look(engine: Engine) -> Sight:
    """Raises Failed when no manager answers."""

    def act(client: docker.APIClient) -> Sight:
        version, info, nodes = client.version(), client.info(), client.nodes()
        major, _, minor = str(version["ApiVersion"]).partition(".")
        managers = [one for one in nodes if "ManagerStatus" in one]
        edges = list(client.tasks({"service": NAME})) if _has_edge(client) else []
        return Sight(
            api=(int(major), int(minor)),
            nodes=len(nodes),
            away=tuple(sorted(_name(one) for one in nodes if _is_away(one))),
            managers=(
                sum(one["ManagerStatus"].get("Reachability") == "reachable" for one in managers), len(managers)
            ),
            edges=sum(one["Status"]["State"] == "running" for one in edges),
            ahead=_clock(str(info["SystemTime"])),
        )  # fmt: skip

    return engine.ask(act)


def _has_edge(client: docker.APIClient) -> bool:
    return any(one["Spec"]["Name"] == NAME for one in client.services(filters={"name": NAME}))


def _is_away(node: Mapping[str, Any]) -> bool:
    return bool(node["Status"]["State"] != "ready" or node["Spec"]["Availability"] != "active")


def _name(node: Mapping[str, Any]) -> str:
    return str(node["Description"]["Hostname"])


def _clock(said: str) -> float:
    """How far the engine's clock (RFC 3339, with nanoseconds) is ahead of ours."""
    plain = said[:26].rstrip("Z") + "+00:00" if said.endswith("Z") else said[:26] + said[-6:]
    return datetime.fromisoformat(plain).timestamp() - time.time()
