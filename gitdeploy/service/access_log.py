"""Who visited a site: the lines of the edge's access log that are about its hosts."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

from gitdeploy.domain.host import HostName
from gitdeploy.domain.names import host
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.runtime.edge.access_log import FILE
from gitdeploy.runtime.routes import Routes
from gitdeploy.service.context import Context

_BLOCK = 1 << 16


def newest(ctx: Context, actor: Actor, site: Site, limit: int) -> list[bytes]:
    """The last `limit` lines, oldest first."""
    actor.need(Role.DEVELOPER, site.name, "see who visited it")
    hosts = {one.host for one in Routes(ctx.home).hosts() if one.site == site.name}
    hosts |= {one.name.other for one in ctx.ledger.domains.where(site=site.name)}
    own = host(site.name, ctx.server.domain)

    def about(line: bytes) -> bool:
        try:
            asked = HostName.asked(str(json.loads(line)["request"]["host"]))
        except (ValueError, KeyError, TypeError):
            return False  # cut short by a full disk
        return asked is not None and (asked in hosts or asked == own or asked.endswith(f"--{own}"))

    current = ctx.home.root / FILE
    files = [current, *sorted(current.parent.glob("access-*.log"), reverse=True)]
    lines = (line for file in files for line in _backwards(file) if about(line))
    return list(itertools.islice(lines, limit))[::-1]


def _backwards(path: Path) -> Iterator[bytes]:
    """The lines of a file from its end, without reading what is not wanted."""
    if not path.exists():
        return
    with open(path, "rb") as file:
        at, rest = file.seek(0, 2), b""
        while at > 0:
            size = min(_BLOCK, at)
            at -= size
            file.seek(at)
            rest, *lines = (file.read(size) + rest).split(b"\n")
            yield from (line for line in reversed(lines) if line)
        if rest:
            yield rest
