"""A command run once on some node, as the engine's own job, with the image and the variables of a release."""

from __future__ import annotations

import time
from dataclasses import replace

from docker import APIClient
from docker.errors import APIError

from gitdeploy.domain.swarm import Unit
from gitdeploy.errors import Busy, Failed
from gitdeploy.runtime.swarm import said, service
from gitdeploy.runtime.swarm.containers import is_over, trouble
from gitdeploy.runtime.swarm.engine import Engine
from gitdeploy.runtime.swarm.said import Line
from gitdeploy.runtime.swarm.wanted import wanted

_PAUSE = 0.3


def run(engine: Engine, unit: Unit, network: str, *, within: float) -> tuple[int | None, list[Line]]:
    """Its exit code, None when it was ended after `within` seconds, and what it said. The name of `unit` is taken as
    long as it runs: Failed says so, or that no node takes it.
    """
    unit = replace(unit, replicas=1, check=None, hosts=())
    made = wanted(unit, network, service.secret(engine, unit), once=True)

    def create(client: APIClient) -> str:
        _clear(client, unit.name)
        try:
            one = client.create_service(
                made.task, name=unit.name, labels=unit.labels, mode=made.mode, endpoint_spec=made.endpoint
            )
        except APIError as error:
            if error.status_code == 409:
                raise Busy(f"{unit.program} still runs.", "Wait until it has ended.", again=10) from error
            raise Failed(f"The swarm does not run {unit.program}: {error.explanation or error}.") from error
        return str(one["ID"])

    id = engine.ask(create)
    try:
        code = _wait(engine, id, time.monotonic() + within)
        secrets = {one["ID"]: unit.secrets.values() for one in engine.tasks(id)}
        return code, said.masked(said.lines(engine, id), secrets)
    finally:
        engine.remove([{"ID": id}])


def _clear(client: APIClient, name: str) -> None:
    """Take away what has ended and was left by a server that was killed meanwhile."""
    for one in client.services(filters={"name": name}):
        if one["Spec"]["Name"] == name and is_over(client.tasks({"service": one["ID"]})):
            client.remove_service(one["ID"])


def _wait(engine: Engine, id: str, until: float) -> int | None:
    while time.monotonic() < until:
        for one in engine.tasks(id):
            state = one["Status"]["State"]
            if state in ("complete", "failed"):
                return int(
                    one["Status"].get("ContainerStatus", {}).get("ExitCode", 0 if state == "complete" else 1)
                )
            if state in ("rejected", "orphaned"):
                raise Failed(f"No node runs it: {trouble(one)}.")
        time.sleep(_PAUSE)
    return None
