"""The builds of a site, as people ask for them: listed, followed, cancelled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from gitdeploy.build import log as logs
from gitdeploy.domain.build import OPEN, Build
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.errors import Failed, NotFound
from gitdeploy.service.context import Context
from gitdeploy.service.teller import Teller


def listing(ctx: Context, site: Site, *, limit: int = 50, before: str = "~") -> list[Build]:
    """Newest first; `before` is the id of the last one already seen."""
    return ctx.ledger.builds.where(
        site=site.name, order="id DESC", limit=limit, sql="id < ?", given=(before,)
    )


def by_ids(ctx: Context, ids: Iterable[str]) -> dict[str, Build]:
    """Those that there are."""
    wanted = tuple(set(ids))
    return {one.id: one for one in ctx.ledger.builds.where(id=wanted)} if wanted else {}


def show(ctx: Context, actor: Actor, id: str) -> Build:
    """By id; a unique beginning of one is enough."""
    begin = id[:4].lower() + id[4:].upper()
    begins = "id >= ? AND id < ?"
    found = ctx.ledger.builds.where(limit=2, sql=begins, given=(begin, f"{begin}~")) if len(id) >= 8 else []
    if len(found) != 1 or actor.role(found[0].site) is None:
        raise NotFound(f"There is no build {id[:40]!r}.", "See: gitdeploy builds SITE")
    return found[0]


def read_log(ctx: Context, build: Build, *, follow: bool = False) -> Iterator[bytes]:
    """The log from its beginning; with `follow` until the build ends."""
    job = ctx.queue.of(build.id)
    if follow and job is not None:
        return job.log.follow()
    path = log_file(ctx, build.id)
    return logs.read(path) if path.exists() else iter(())


def cancel(ctx: Context, actor: Actor, site: Site, target: str, teller: Teller) -> None:
    """Cancel what is queued or building, by build id or by branch; waits until nothing of it is left."""
    actor.need(Role.DEVELOPER, site.name, "cancel builds")
    names = (target, f"refs/heads/{target}", target.upper().replace("BLD-", "bld_").replace("BLD_", "bld_"))
    open_builds = ctx.ledger.builds.where(site=site.name, state=OPEN)
    chosen = [one for one in open_builds if one.id in names or one.ref in names]
    if not chosen:
        raise NotFound(f"Nothing of {target!r} is queued or building.", f"See: gitdeploy builds {site.name}")
    for one in chosen:
        job = ctx.queue.of(one.id)
        ctx.queue.cancel(one.id, f"cancelled by {actor.name}")
        if job is not None and not job.done.wait(timeout=60):
            raise Failed(f"{one.id} has not ended after 60 s.", "Look at its processes on the server.")
        ctx.event("build.canceled", actor=actor.name, site=site.name, subject=one.id)
        teller.step(f"canceled {one.id}; nothing of it runs any more")


def log_file(ctx: Context, id: str) -> Path:
    return ctx.home.logs / "builds" / f"{id}.log"
