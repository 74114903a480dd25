"""What is kept, and the collection of what is not. Records are kept for ever; it is bytes that go.

Kept: what is live, pinned, under way, what a rollback would go to, the last releases of every environment
(`[production] keep`), the newest builds of every site, its snapshots, and pictures of any of that.
"""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from gitdeploy import process
from gitdeploy.domain import settings as app_file
from gitdeploy.domain.build import Build
from gitdeploy.domain.digest import Digest
from gitdeploy.domain.names import PRODUCTION, build_label, host
from gitdeploy.domain.release import worth_keeping
from gitdeploy.domain.site import Site
from gitdeploy.runtime.routes import Routes
from gitdeploy.runtime.slots import DRAIN
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service import image, snapshot_copy, swarm
from gitdeploy.service import snapshot as snapshots
from gitdeploy.service.context import Context
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock

KEEP_BUILDS = 10
"""How many of a site's newest builds stay, whether they are live or not, with their permalinks."""


class Collected(TypedDict):
    """How many artifacts were kept, and how many bytes freed."""

    kept: int
    freed: int
    dry_run: NotRequired[bool]


def collect(ctx: Context, teller: Teller, *, dry_run: bool = False) -> Collected:
    """Remove what nothing needs."""
    keep = kept(ctx)
    if dry_run:
        teller.step(f"would keep {len(keep)} artifacts")
        return {"kept": len(keep), "freed": 0, "dry_run": True}
    for site in ctx.ledger.sites.where():
        _forget_permalinks(ctx, site)
        snapshots.let_go(ctx, site)
    ctx.store.release_trees(lambda: _served(ctx))
    if gone := image.collect(ctx, lambda: _wanted(ctx), teller):
        teller.detail(f"{gone} images deleted from the registry")
    if gone := swarm.clear_nodes(ctx):
        teller.detail(f"{gone} images removed from nodes")
    freed = ctx.store.collect(lambda: kept(ctx))
    if snapshot_copy.is_due(ctx):
        snapshot_copy.sweep(ctx)
    for site in ctx.ledger.sites.where():
        repository = ctx.repository(site.name)
        repository.forget_torn_pushes()
        process.run(repository.git("gc", "--auto", "--quiet"), timeout=3600)
    teller.step(f"kept {len(keep)} artifacts, freed {freed} bytes")
    return {"kept": len(keep), "freed": freed}


def kept(ctx: Context) -> frozenset[Digest]:
    """Those that somebody may still want, and those that their images are made of."""
    found = _wanted(ctx)
    found |= image.needed(ctx, found)
    return frozenset(Digest.parse(one) for one in found if ctx.store.has(one))


def _wanted(ctx: Context) -> set[str]:
    found: set[str] = set()
    for site in ctx.ledger.sites.where():
        keep = app_file.parse(site.policy or "").production.keep
        for environment in ctx.ledger.environments.where(site=site.name):
            releases = ctx.ledger.releases.where(site=site.name, env=environment.name)
            numbers = worth_keeping(releases, keep=keep if environment.name == PRODUCTION else 3)
            found.update(one.artifact for one in releases if one.number in numbers)
        found.update(one.artifact for one in ctx.ledger.releases.where(site=site.name, pinned=1))
        found.update(one.artifact or "" for one in newest_builds(ctx, site))
        found.update(one.artifact for one in ctx.ledger.snapshots.where(site=site.name))
        # Pictures stay for as long as what they show.
        found.update(
            one.artifact for one in ctx.ledger.pictures.where(site=site.name) if one.candidate in found
        )
    return found - {""}


def newest_builds(ctx: Context, site: Site) -> list[Build]:
    return ctx.ledger.builds.where(site=site.name, state="built", order="id DESC", limit=KEEP_BUILDS)


def _served(ctx: Context) -> set[Digest]:
    """The artifacts whose files are laid out for the edge. Who began in a release that was live may be in it still."""
    found = {one.artifact for one in ctx.ledger.releases.where(state=("live", "pending"))}
    draining = ctx.ledger.releases.where(sql="ended_at > ?", given=(clock.later(-6 * DRAIN),))
    found.update(one.artifact for one in draining)
    for site in ctx.ledger.sites.where():
        found.update(one.artifact or "" for one in newest_builds(ctx, site))
    return {Digest.parse(one) for one in found if one and ctx.store.has(one)}


def _forget_permalinks(ctx: Context, site: Site) -> None:
    # Looked at before the ledger is asked: a permalink made meanwhile is of a build that was not in its answer.
    there = sorted((ctx.home.sites / site.name).glob("bld-*"))
    keep = {build_label(one.id) for one in newest_builds(ctx, site)}
    keep.update(one.folder for one in ctx.ledger.environments.where(site=site.name))
    for old in there:
        if old.name not in keep:
            Routes(ctx.home).remove(host(site.name, ctx.server.domain, label=old.name))
            Place(ctx.home, site.name, old.name).remove()
