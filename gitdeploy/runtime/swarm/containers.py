"""The containers of a service: which copy each of them is, whose release, and why it ended."""

from __future__ import annotations

from collections.abc import Sequence

from gitdeploy.domain.swarm import LABEL
from gitdeploy.runtime.swarm.engine import Task

_FAILED = ("failed", "rejected", "orphaned")
_OVER = ("complete", "failed", "rejected", "orphaned", "shutdown", "remove")
_DUE = ("running", "ready")  # the second waits for a moment until it is started again


def release_of(task: Task) -> str:
    return str(task["Spec"]["ContainerSpec"].get("Labels", {}).get(f"{LABEL}.release", ""))


def trouble(task: Task) -> str:
    """Why a container ended or never began; "" when it is well."""
    status = task["Status"]
    if status["State"] not in _FAILED:
        return ""
    return str(status.get("Err") or status.get("Message") or status["State"])


def is_over(tasks: Sequence[Task]) -> bool:
    """Whether a job has ended everywhere."""
    return bool(tasks) and all(one["Status"]["State"] in _OVER for one in tasks)


def number_of(task: Task, tasks: Sequence[Task]) -> int:
    """Which copy it is, from 1: its slot, or its node's place among those that have one of a service on every node."""
    if "Slot" in task:
        return int(task["Slot"])
    return 1 + sorted({str(one.get("NodeID", "")) for one in tasks}).index(str(task.get("NodeID", "")))


def due(tasks: Sequence[Task], release: str) -> list[Task]:
    """Those of a release that should run."""
    return [one for one in tasks if one["DesiredState"] in _DUE and release_of(one) == release]


def before(task: Task, tasks: Sequence[Task]) -> list[Task]:
    """The containers that were what it is now in its release, and ended; the newest first, as far as the engine
    remembers them (five, where it was not told otherwise).
    """
    same = (release_of(task), number_of(task, tasks))
    return [
        one
        for one in tasks
        if one["ID"] != task["ID"] and trouble(one) and (release_of(one), number_of(one, tasks)) == same
    ]
