"""A program of a release as the engine takes it: a service with everything that it is made of.

The engine keeps the variables that nobody may see as a secret of its own, which the container reads at its start. The
files of the release are read-only to the program, which runs as nobody and without any capability.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

from docker.types import (
    ContainerSpec,
    EndpointSpec,
    Healthcheck,
    Mount,
    Resources,
    RestartPolicy,
    RollbackConfig,
    SecretReference,
    ServiceMode,
    TaskTemplate,
    UpdateConfig,
)

from gitdeploy.domain.app import MOST_PROCESSES, WEB
from gitdeploy.domain.image import PORT
from gitdeploy.domain.swarm import DRAIN, Unit, alias
from gitdeploy.runtime.swarm import health

__all__ = ["Wanted", "secret_file", "wanted"]

NOBODY = "65534:65534"
_SECRET = "gitdeploy"
_WATCHED = 2.0
"""Seconds that a container which has become healthy is still watched before the next is touched."""
_SECOND = 10**9  # Docker's durations are nanoseconds

# $1 is the shell line, $2 for how many seconds it goes on after it was told to end: who asked before the names were
# taken back is answered. Everything else in the container is told then; docker-init, which is process 1, is not.
_START = f"""
if [ -f /run/secrets/{_SECRET} ]; then set -a; . /run/secrets/{_SECRET}; set +a; fi
PATH=/app/.packages/bin:/app/.venv/bin:/app/node_modules/.bin:$PATH
if [ -d /app/.packages ]; then export PYTHONPATH=/app/.packages; fi
export PATH HOME=/tmp TMPDIR=/tmp
trap 'sleep "$2"; kill -TERM -1' TERM
sh -c "$1" &
wait $!; code=$?
while kill -0 $! 2>/dev/null; do wait $!; code=$?; done
exit $code
"""


@dataclass(frozen=True)
class Wanted:
    """What `create_service` and `update_service` of the engine take."""

    task: Any
    mode: Any
    update: Any
    rollback: Any
    endpoint: Any


def wanted(unit: Unit, network: str, secret_id: str, *, once: bool = False) -> Wanted:
    """`secret_id` is that of the secret with the unit's variables, "" when it has none. `once`: it is a command that is
    run to its end, and never again.
    """
    is_web = unit.program == WEB and not once
    drain = DRAIN if is_web else 0
    secrets = (
        [SecretReference(secret_id, unit.secret, filename=_SECRET, uid="65534", gid="65534", mode=0o400)]
        if secret_id
        else []
    )
    container = ContainerSpec(
        unit.image,
        command=["/bin/sh", "-c", _START, "gitdeploy", unit.line, str(drain)],
        env={"PYTHONUNBUFFERED": "1", **({"PORT": str(PORT)} if is_web else {}), **unit.environment},
        workdir=unit.folder,
        user=NOBODY,
        labels=unit.marks,
        mounts=[Mount("/tmp", None, type="tmpfs", tmpfs_mode=0o1777)],
        stop_grace_period=int((drain + unit.stop_timeout) * _SECOND),
        secrets=secrets,
        read_only=True,
        healthcheck=_healthcheck(unit) if is_web else Healthcheck(test=["NONE"]),
        init=True,
        cap_drop=["ALL"],
    )
    return Wanted(
        task=TaskTemplate(
            container,
            resources=_bounds(unit),
            restart_policy=RestartPolicy("none") if once else RestartPolicy("any", delay=_SECOND),
            networks=[{"Target": network, "Aliases": [alias(one) for one in unit.hosts] if is_web else []}],
            placement={"Constraints": list(unit.placement)} if unit.placement else None,
        ),
        mode=_mode(unit, once),
        # All at once: the old ones go on until each new one is healthy, as in every switch of ours.
        update=UpdateConfig(
            parallelism=0,
            order="start-first",
            failure_action="rollback",
            monitor=int(_watched(unit) * _SECOND),
        ),
        rollback=RollbackConfig(parallelism=0, order="start-first", monitor=_SECOND),
        endpoint=EndpointSpec(mode="dnsrr"),
    )


def secret_file(unit: Unit) -> bytes:
    """The secret variables as a shell reads them."""
    lines = (f"{name}={shlex.quote(value)}\n" for name, value in sorted(unit.secrets.items()))
    return "".join(lines).encode()


def _mode(unit: Unit, once: bool) -> Any:
    if once:
        return ServiceMode("replicated-job", replicas=1)
    return (
        ServiceMode("global") if unit.replicas is None else ServiceMode("replicated", replicas=unit.replicas)
    )


def _healthcheck(unit: Unit) -> Any:
    check = unit.check
    if check is None:
        return None
    interval = max(check.interval, health.LEAST_INTERVAL)
    return Healthcheck(
        test=health.command(check),
        interval=int(interval * _SECOND),
        timeout=int(health.ONE_TRY * _SECOND),
        retries=3,
        start_period=int(check.timeout * _SECOND),
    )


def _watched(unit: Unit) -> float:
    return max(_WATCHED, unit.check.uptime if unit.check else 0)


def _bounds(unit: Unit) -> Any:
    found = Resources(mem_limit=unit.memory or None)
    found.setdefault("Limits", {})["Pids"] = MOST_PROCESSES
    return found
