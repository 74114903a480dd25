"""Images of releases that nodes still have and nobody will run again."""

from __future__ import annotations

from collections.abc import Set

import docker
from docker.errors import APIError, DockerException
from requests.exceptions import RequestException

from gitdeploy.runtime.swarm.engine import Engine, connected


def remove(engine: Engine, registry: str, keep: Set[str]) -> int:
    """Remove from every node that is named in `engine` the images that came from `registry` (`REG/team`) and are not
    among `keep` (`REG/name@sha256:…`); how many. What runs is in use and stays; so does all on a node that does not
    answer, until the next time.
    """
    removed = 0
    for address in engine.addresses:
        try:
            with connected(address) as client:
                removed += _of_node(client, registry, keep)
        except (DockerException, RequestException, OSError):
            continue
    return removed


def _of_node(client: docker.APIClient, registry: str, keep: Set[str]) -> int:
    removed = 0
    for one in client.images():
        names = one.get("RepoDigests") or []
        ours = [name for name in names if name.startswith(f"{registry}/site_")]
        if ours and keep.isdisjoint(names):
            try:
                client.remove_image(one["Id"])
                removed += 1
            except APIError:
                continue
    return removed
