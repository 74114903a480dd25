"""The engine: any manager of the swarm that answers. Every manager passes on to the one that leads.

An election takes some seconds, a manager that has gone some more: what is asked meanwhile waits, and is refused in one
sentence when that takes too long.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from gitdeploy.errors import Failed

if TYPE_CHECKING:
    import docker
    from docker.errors import APIError

_T = TypeVar("_T")
PATIENCE = 60.0
"""Seconds until a swarm without a leader is given up."""
_PAUSE = 0.5
_TIMEOUT = 20  # seconds for one answer

Service = dict[str, Any]
Task = dict[str, Any]
Secret = dict[str, Any]


@dataclass(frozen=True)
class Engine:
    """`addresses` are the managers' (`unix:///var/run/docker.sock`, `ssh://deploy@10.0.0.2`, `tcp://…`), tried in this
    order; `user` and `password` are those of the `registry`, which the nodes pull with; `patience` is in seconds.
    """

    addresses: tuple[str, ...]
    registry: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    patience: float = PATIENCE

    def ask(self, act: Callable[[docker.APIClient], _T]) -> _T:
        """What `act` makes of a manager that answers. It may be called several times, so has to be such that this does
        no harm. Raises Failed when nobody answers, and APIError for a plain refusal.
        """
        from docker.errors import APIError, DockerException  # 0.2 s, which most servers never need
        from requests.exceptions import ConnectionError, ReadTimeout

        until = time.monotonic() + self.patience
        while True:
            said = "no manager is named"
            for address in self.addresses:
                try:
                    with connected(address) as client:
                        if self.user:
                            client._auth_configs.add_auth(
                                self.registry, {"username": self.user, "password": self.password}
                            )
                        return act(client)
                except APIError as error:
                    if not _is_passing(error):
                        raise
                    said = str(error.explanation or error)
                except (ConnectionError, ReadTimeout, DockerException, OSError) as error:
                    said = str(error)
            if time.monotonic() > until:
                raise Failed(
                    f"No manager of the swarm answers: {said[:200]}",
                    "See: docker node ls, and [swarm] in server.toml.",
                )
            time.sleep(_PAUSE)

    def services(self, labels: Mapping[str, str]) -> list[Service]:
        """All services that have these labels."""
        found: list[Service] = self.ask(lambda client: _services(client, labels))
        return found

    def whole(self, labels: Mapping[str, str]) -> tuple[list[Service], list[Secret]]:
        """All services and all secrets that have these labels."""
        return self.ask(
            lambda client: (_services(client, labels), client.secrets(filters={"label": _filter(labels)}))
        )

    def tasks(self, service: str) -> list[Task]:
        """What the engine runs, and has run, for a service; the newest first."""
        found: list[Task] = self.ask(lambda client: client.tasks({"service": service}))
        return sorted(found, key=lambda one: str(one["CreatedAt"]), reverse=True)

    def remove(self, services: Iterable[Service]) -> None:
        """Those that have gone already are fine."""
        for one in services:
            self.ask(lambda client, id=one["ID"]: _gone(client.remove_service, id))  # type: ignore[misc]

    def remove_secrets(self, secrets: Iterable[Secret]) -> None:
        """Those that are in use stay."""
        from docker.errors import APIError

        for one in secrets:
            with contextlib.suppress(APIError):
                self.ask(lambda client, id=one["ID"]: client.remove_secret(id))  # type: ignore[misc]


def connected(address: str) -> docker.APIClient:
    import docker

    return docker.APIClient(
        base_url=address, version="auto", timeout=_TIMEOUT, use_ssh_client=address.startswith("ssh://")
    )


def _services(client: docker.APIClient, labels: Mapping[str, str]) -> list[Service]:
    found: list[Service] = client.services(filters={"label": _filter(labels)}, status=True)
    return found


def _filter(labels: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" if value else name for name, value in labels.items()]


def _is_passing(error: APIError) -> bool:
    """Whether there is no leader just now, or it did not answer in time."""
    said = str(error.explanation or "").lower()
    passing = ("leader", "deadlineexceeded", "unavailable", "context deadline", "connection", "transport")
    return (error.status_code or 0) >= 500 and any(one in said for one in passing)


def _gone(remove: Callable[[str], object], id: str) -> None:
    from docker.errors import APIError

    try:
        remove(id)
    except APIError as error:
        if error.status_code != 404:
            raise
