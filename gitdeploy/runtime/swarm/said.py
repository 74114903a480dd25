"""What containers say, read from the engine, which keeps it as long as they are there; secrets in it are masked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import docker
from docker.errors import APIError

from gitdeploy.domain.mask import Masker
from gitdeploy.errors import Failed
from gitdeploy.runtime.swarm.engine import Engine

_TASK = "com.docker.swarm.task.id="


@dataclass(frozen=True)
class Line:
    """`moment` is UTC, `2026-11-21T03:22:01.123456789Z`; `task` the id of the container's task."""

    moment: str
    task: str
    text: str

    @property
    def time(self) -> str:
        """In milliseconds, as all times are that people see."""
        return f"{self.moment[:23]}Z"


def lines(engine: Engine, service: str, *, count: int = 0, since: float = 0) -> list[Line]:
    """The last lines of all containers of a service, in the order of their times: `count` of each, 0 for all; `since`
    is seconds since 1970. [] when they cannot be had.
    """

    def read(client: docker.APIClient) -> list[Line]:
        parts = client.service_logs(
            service, stdout=True, stderr=True, tail=str(count or "all"), since=f"{since:.6f}", is_tty=False,
            timestamps=True, details=True,
        )  # fmt: skip
        said = b"".join(parts).decode(errors="replace")
        return [_line(one) for one in said.split("\n") if one]

    try:
        return sorted(replace(engine, patience=5.0).ask(read), key=lambda one: one.moment)
    except (APIError, Failed):
        return []


def masked(said: Iterable[Line], secrets: Mapping[str, Iterable[str]]) -> list[Line]:
    """With `[redacted]` for the secrets of each container, which `secrets` has by its task's id; a container that it
    does not know is left out.
    """
    by_task: dict[str, list[Line]] = {}
    for one in said:
        if one.task in secrets:
            by_task.setdefault(one.task, []).append(one)
    found = [line for task, own in by_task.items() for line in _masked(own, Masker(secrets[task]))]
    return sorted(found, key=lambda one: one.moment)


# Private


def _masked(said: list[Line], masker: Masker) -> Iterator[Line]:
    """A secret that is broken over lines makes one of them."""
    held = b""
    for one in said:
        *whole, held = (held + masker.feed(one.text.encode() + b"\n")).split(b"\n")
        yield from (replace(one, text=text.decode(errors="replace")) for text in whole)
    for text in (held + masker.flush()).splitlines():
        yield replace(said[-1], text=text.decode(errors="replace"))


def _line(raw: str) -> Line:
    """`TIME com.docker.swarm.node.id=…,com.docker.swarm.task.id=… what it said`"""
    moment, _, rest = raw.partition(" ")
    about, _, text = rest.partition(" ")
    task = next((one.removeprefix(_TASK) for one in about.split(",") if one.startswith(_TASK)), "")
    return Line(moment, task, text.rstrip("\r"))
