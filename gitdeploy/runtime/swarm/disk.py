"""How much room nodes have on their disks. The engine does not say it, so each node is asked by a container that looks
at its own file system, which is the one that images and containers of the node are on.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from uuid import uuid4

from docker import APIClient
from docker.errors import APIError
from docker.types import ContainerSpec, Resources, RestartPolicy, ServiceMode, TaskTemplate

from gitdeploy.domain.swarm import LABEL
from gitdeploy.errors import Failed
from gitdeploy.runtime.swarm import containers, said
from gitdeploy.runtime.swarm.engine import Engine, Service
from gitdeploy.store import clock

_SCRIPT = "import os; one = os.statvfs('/'); print(one.f_bavail * one.f_frsize, one.f_blocks * one.f_frsize)"
_ROLE = {f"{LABEL}.role": "disk"}
_MEMORY = 64 * 1024**2
_PAUSE = 0.3
_STALE = 600.0  # seconds


@dataclass(frozen=True)
class Room:
    """Of the disk of `node`, in bytes; None when it did not say."""

    node: str
    free: int | None
    total: int | None

    @property
    def share(self) -> float | None:
        """What is free, in percent."""
        return 100 * self.free / self.total if self.free is not None and self.total else None


def look(engine: Engine, image: str, *, within: float) -> list[Room]:
    """Ask every node that takes containers, which fetches `image` (with Python in it) if it does not have it; by the
    names of nodes. Takes `within` seconds at most, beyond what a manager takes to answer. Raises Failed.
    """
    name = f"gitdeploy-disk-{uuid4().hex[:12]}"
    container = ContainerSpec(
        image, command=["python3", "-ISc", _SCRIPT], read_only=True, cap_drop=["ALL"], user="65534:65534"
    )
    task = TaskTemplate(
        container, resources=Resources(mem_limit=_MEMORY), restart_policy=RestartPolicy("none")
    )

    def begin(client: APIClient) -> str:
        for left in client.services(filters={"label": f"{LABEL}.role=disk"}):
            if left["CreatedAt"] < clock.later(-_STALE):  # by a server that was killed meanwhile
                _remove(client, left)
        return str(client.create_service(task, name=name, labels=_ROLE, mode=ServiceMode("global-job"))["ID"])

    try:
        id = engine.ask(begin)
    except APIError as error:
        raise Failed(f"The swarm does not ask its nodes: {error.explanation or error}.") from error
    try:
        until = time.monotonic() + within
        while time.monotonic() < until:
            if containers.is_over(engine.tasks(id)):
                break
            time.sleep(_PAUSE)
        return _read(engine, id)
    finally:
        engine.remove([{"ID": id}])


def _read(engine: Engine, id: str) -> list[Room]:
    nodes = {
        one["ID"]: str(one["Description"]["Hostname"]) for one in engine.ask(lambda client: client.nodes())
    }
    told = {}
    for line in said.lines(engine, id):
        with contextlib.suppress(ValueError):
            free, total = map(int, line.text.split())
            told[line.task] = free, total
    found = []
    for task in engine.tasks(id):
        free_total = told.get(task["ID"], (None, None))
        found.append(Room(nodes.get(task.get("NodeID", ""), "a node"), *free_total))
    return sorted(found, key=lambda one: one.node)


def _remove(client: APIClient, left: Service) -> None:
    with contextlib.suppress(APIError):
        client.remove_service(left["ID"])
