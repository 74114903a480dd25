"""Who visited a site: the lines of the edge's access log that are about its hosts."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from gitdeploy.domain.host import HostName
from gitdeploy.domain.names import host
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.runtime.edge.access_log import FILE
from gitdeploy.runtime.routes import Routes
from gitdeploy.service.context import Context

_BLOCK = 1 << 16


def newest(ctx: Context, actor: Actor, site: Site, limit: int) -> list[bytes]:
    """The last `limit` lines since the site was made, oldest first: one that had its name before is none of its own."""
    actor.need(Role.DEVELOPER, site.name, "see who visited it")
    hosts = {one.host for one in Routes(ctx.home).hosts() if one.site == site.name}
    hosts |= {one.name.other for one in ctx.ledger.domains.where(site=site.name)}
    own, since = host(site.name, ctx.server.domain), datetime.fromisoformat(site.created_at)

    def about(asked: HostName | None) -> bool:
        return asked is not None and (asked in hosts or asked == own or asked.endswith(f"--{own}"))

    current = ctx.home.root / FILE
    files = [current, *sorted(current.parent.glob("access-*.log"), reverse=True)]
    visits = (one for file in files for one in map(_visit, _backwards(file)) if one is not None)
    of_its_time = itertools.takewhile(lambda one: one.at >= since, visits)
    return [one.line for one in itertools.islice((it for it in of_its_time if about(it.host)), limit)][::-1]


# Private


class _Visit(NamedTuple):
    at: datetime
    host: HostName | None
    line: bytes


def _visit(line: bytes) -> _Visit | None:
    try:
        said = json.loads(line)
        return _Visit(datetime.fromisoformat(said["ts"]), HostName.asked(str(said["request"]["host"])), line)
    except (ValueError, KeyError, TypeError):
        return None  # cut short by a full disk


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
