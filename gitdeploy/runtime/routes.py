"""The edge's routing table is a directory: `live/<host>` -> `../sites/<site>/<env>`.

A domain of a site's own has a folder besides, with one empty file: `domains/example.org/to:example.org`. A name that
is redirected to it has that folder for its environment: `live/www.example.org` -> `../domains/example.org`.

A host is added, moved to another environment or removed by one rename or unlink; no edge is told.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

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
        self._lead(host, f"../sites/{FolderName.parse(site)}/{FolderName.parse(env)}")

    def remove(self, host: str) -> None:
        durable.remove(self.home.live / HostName.parse(host))

    def hosts(self) -> list[Route]:
        """Every host name that an environment answers to."""
        return [Route(host, *to[-2:]) for host, to in self._links() if to[1] == "sites"]

    # Domains

    def own(self, host: str, site: str, env: str) -> None:
        """Lead a domain of the site's own to an environment."""
        said = self.home.domains / HostName.parse(host) / f"to:{host}"
        if not said.exists():
            durable.make_folder(said.parent)
            durable.write_file(said, b"")
        self.add(host, site, env)

    def redirect(self, host: str, to: str) -> None:
        """Send the visitors of `host` to the domain `to`."""
        self._lead(host, f"../domains/{HostName.parse(to)}")
        self._forget(host)

    def disown(self, host: str) -> None:
        """Let a domain, or a name that was redirected, answer no more."""
        if (self.home.live / HostName.parse(host)).is_symlink():
            self.remove(host)
        self._forget(host)

    def domains(self) -> list[str]:
        """Every name that was given to a domain, also as a redirect."""
        folders = self.home.domains.iterdir() if self.home.domains.is_dir() else ()
        redirected = (host for host, to in self._links() if to[1] == "domains")
        return sorted({one.name for one in folders} | set(redirected))

    def _lead(self, host: str, to: str) -> None:
        link = self.home.live / HostName.parse(host)
        if not link.is_symlink() or link.readlink() != Path(to):
            durable.make_folder(self.home.live)
            durable.point(link, to)

    def _links(self) -> list[tuple[str, tuple[str, ...]]]:
        """`(host, ("..", "sites", site, env))`, by host name."""
        if not self.home.live.is_dir():
            return []
        links = sorted(one for one in self.home.live.iterdir() if one.name[0] != "." and one.is_symlink())
        return [(link.name, link.readlink().parts) for link in links]

    def _forget(self, host: str) -> None:
        if (folder := self.home.domains / host).is_dir():
            shutil.rmtree(folder)
            durable.sync_folder(folder.parent)
