"""The edge's routing table is a directory: `live/<host>` -> `../sites/<site>/<env>`.

A host is added, moved to another environment or removed by one rename or unlink; no edge is told.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

from gitdeploy.domain.host import HostName
from gitdeploy.domain.place import FolderName
from gitdeploy.store import durable
from gitdeploy.store.home import Home


@dataclass(frozen=True)
class Route:
    host: str
    site: str
    env: str


@dataclass(frozen=True)
class Routes:
    home: Home

    def add(self, host: str, site: str, env: str) -> None:
        """Lead `host` to an environment, which need not be live yet. Raises Invalid for a bad name."""
        link = self.home.live / HostName.parse(host)
        target = f"../sites/{FolderName.parse(site)}/{FolderName.parse(env)}"
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(link) == target:  # noqa: PTH115 (text)
                return
        durable.make_folder(self.home.live)
        durable.point(link, target)

    def remove(self, host: str) -> None:
        durable.remove(self.home.live / HostName.parse(host))

    def hosts(self) -> list[Route]:
        """The whole table, by host name."""
        if not self.home.live.is_dir():
            return []
        links = sorted(one for one in self.home.live.iterdir() if one.name[0] != "." and one.is_symlink())
        return [Route(link.name, *link.readlink().parts[-2:]) for link in links]
