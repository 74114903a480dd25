"""The engine: any manager of the swarm that answers. Every manager passes on to the one that leads.

An election takes some seconds, a manager that has gone some more: what is asked meanwhile waits, and is refused in one
sentence when that takes too long.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
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
        wanted = [f"{name}={value}" if value else name for name, value in labels.items()]
        found: list[Service] = self.ask(
            lambda client: client.services(filters={"label": wanted}, status=True)
        )
        return found

    def tasks(self, service: str) -> list[Task]:
        """What the engine runs, and has run, for a service; the newest first."""
        found: list[Task] = self.ask(lambda client: client.tasks({"service": service}))
        return sorted(found, key=lambda one: str(one["CreatedAt"]), reverse=True)

    def logs(self, service: str, *, count: int = 100, since: int = 0) -> list[str]:
        """The last lines of all containers of a service; `since` is seconds since 1970. [] when they cannot be had."""

        def read(client: docker.APIClient) -> list[str]:
            parts = client.service_logs(
                service, stdout=True, stderr=True, tail=str(count), since=since, is_tty=False
            )
            return b"".join(parts).decode(errors="replace").splitlines()

        from docker.errors import APIError

        try:
            return replace(self, patience=5.0).ask(read)
        except (APIError, Failed):
            return []

    def remove(self, services: Iterable[Service]) -> None:
        """Those that have gone already are fine."""
        for one in services:
            self.ask(lambda client, id=one["ID"]: _gone(client.remove_service, id))  # type: ignore[misc]

    def remove_secrets(self, labels: Mapping[str, str], keep: Iterable[str]) -> None:
        """Secrets with these labels, but for those called `keep` and those in use."""
        from docker.errors import APIError

        kept = set(keep)

        def act(client: docker.APIClient) -> None:
            wanted = [f"{name}={value}" for name, value in labels.items()]
            for one in client.secrets(filters={"label": wanted}):
                if one["Spec"]["Name"] not in kept:
                    try:
                        client.remove_secret(one["ID"])
                    except APIError:
                        continue

        self.ask(act)


def connected(address: str) -> docker.APIClient:
    import docker

    return docker.APIClient(
        base_url=address, version="auto", timeout=_TIMEOUT, use_ssh_client=address.startswith("ssh://")
    )


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
