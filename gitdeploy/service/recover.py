"""The ledger lost: sites, releases and what is live, read back from what else there is.

    repositories     refs/notes/deploys holds every release; refs/heads/* the branches
    the store        every envelope is a build: who built what from which commit
    sites/…/current  what each environment serves at this moment
    live/, domains/  the domains of its own
    snapshots/       what is known of every snapshot, signed; its bytes are in the store

What only the ledger knew is gone: people, their tokens and keys, failed builds, the old audit log.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from gitdeploy.domain.build import Build
from gitdeploy.domain.builder import name_in
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.names import PRODUCTION, SiteName
from gitdeploy.domain.release import NOTED, Release, remarked
from gitdeploy.domain.site import Site
from gitdeploy.domain.statement import Statement
from gitdeploy.errors import GitdeployError
from gitdeploy.git import notes
from gitdeploy.git.repository import Repository
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service import building, policy, snapshot_record
from gitdeploy.service import domain as domains
from gitdeploy.service.context import Context
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock, ids


def recover(ctx: Context, teller: Teller) -> dict[str, int]:
    """Fill an empty ledger; returns how many `{sites, builds, releases, environments, snapshots}` were found."""
    statements = list(_statements(ctx))
    for repository in sorted(ctx.home.repos.glob("*.git")):
        name = SiteName.parse(repository.stem)
        told = _told(repository)
        with ctx.ledger.atomic():
            id = next((str(one["site"]) for one in told.values()), ids.new("site"))
            site = ctx.ledger.sites.add(Site(name, id, clock.now(), "recover"))
            _builds(ctx, site, [one for one in statements if one.site == id])
            releases = _releases(ctx, site, told)
            _environments(ctx, site, releases)
            _policy(ctx, site, releases)
            domains.recover(ctx, name)
            _marks(ctx, site)
            snapshot_record.recover(ctx, site, teller)
            for ref, commit in ctx.repository(name).refs("refs/heads/").items():
                ctx.acted_on(name, ref, commit)
        teller.step(f"{name}: {len(releases)} releases")
    ctx.event("ledger.recovered", actor="recover")
    teller.detail("people, tokens and keys were only in the ledger: grant and make them anew")
    counts = ("sites", "builds", "releases", "environments", "snapshots")
    return {name: len(getattr(ctx.ledger, name).where()) for name in counts}


def _statements(ctx: Context) -> Iterator[Statement]:
    """Every build that somebody trusted signed for, oldest first."""
    found = []
    for artifact, build_id in ctx.store.signed():
        try:
            found.append(ctx.store.stated(artifact, build_id))
        except GitdeployError:
            continue  # damaged: fsck names it
    yield from sorted(found, key=lambda one: one.build_id)


def _builds(ctx: Context, site: Site, statements: list[Statement]) -> None:
    for one in statements:
        ctx.ledger.builds.add(
            Build(
                id=one.build_id, site=site.name, commit=one.commit, tree=one.tree, ref="", state="built",
                actor="recover", created_at=one.started_on, key=building.key_of(ctx, site, one.commit),
                recipe=json.dumps(one.recipe), artifact=one.artifact, started_at=one.started_on,
                finished_at=one.finished_on, builder=name_in(one.builder),
            )
        )  # fmt: skip


def _told(repository: Path) -> dict[int, dict[str, Any]]:
    """What the notes say, by release number."""
    lines = [json.loads(line) for told in notes.read(Repository(repository)).values() for line in told]
    return {said["number"]: said for said in lines}


def _releases(ctx: Context, site: Site, told: dict[int, dict[str, Any]]) -> list[Release]:
    """Every release that a note tells of, each ended by the next one of its environment."""
    releases: list[Release] = []
    last: dict[str, int] = {}
    for number in sorted(told):
        said = {name: told[number][name] for name in NOTED}
        release = Release(site=site.name, state="live", **said)
        if (before := last.get(release.env)) is not None:
            ended = "rolled_back" if release.kind == "rollback" else "superseded"
            old = releases[before]
            releases[before] = Release(**{**old.__dict__, "state": ended, "ended_at": release.live_at})
        last[release.env] = len(releases)
        releases.append(release)
    for release in releases:
        ctx.ledger.releases.add(release)
    highest = max([*told, *_numbered(ctx, site)], default=0)
    ctx.ledger.sites.change(site, last_release=highest)
    return releases


def _numbered(ctx: Context, site: Site) -> list[int]:
    refs = ctx.repository(site.name).refs("refs/releases/")
    return [int(ref.rpartition("/r")[2]) for ref in refs if ref.rpartition("/r")[2].isdigit()]


def _environments(ctx: Context, site: Site, releases: list[Release]) -> None:
    """Those that serve something: a folder whose pointer names a release."""
    by_slot = {release.slot: release for release in releases}
    folder = ctx.home.sites / site.name
    for place in sorted(folder.iterdir()) if folder.is_dir() else []:
        release = by_slot.get(Place(ctx.home, site.name, place.name).current() or "")
        if release is None:
            continue
        kind = "production" if release.env == PRODUCTION else "preview"
        ctx.ledger.environments.add(
            Environment(
                site.name, release.env, kind, release.env, place.name, clock.now(), "ready", release.number
            )
        )
    kept = {one.name for one in ctx.ledger.environments.where(site=site.name)}
    for release in ctx.ledger.releases.where(site=site.name, state="live"):
        if release.env not in kept:
            ctx.ledger.releases.change(release, state="superseded", ended_at=clock.now())


def _policy(ctx: Context, site: Site, releases: list[Release]) -> None:
    decided = [one for one in releases if one.env == PRODUCTION and one.kind != "rollback"]
    if not decided:
        return
    repository = ctx.repository(site.name)
    text = policy.text(repository, decided[-1].commit)
    ctx.ledger.sites.change(ctx.site(site.name), policy=text)
    settings = policy.of_site(ctx.site(site.name), repository)
    for environment in ctx.ledger.environments.where(site=site.name):
        if environment.name == PRODUCTION:
            ctx.ledger.environments.change(environment, branch=settings.production.branch)
        elif environment.name in settings.environments:
            branch = settings.environments[environment.name].branch
            ctx.ledger.environments.change(environment, kind="named", branch=branch)


def _marks(ctx: Context, site: Site) -> None:
    """What was rolled back and is bad, by going through the history once more."""
    for environment in ctx.ledger.environments.where(site=site.name, kind=("production", "named")):
        served: list[Release] = []
        for live in ctx.ledger.releases.where(site=site.name, env=environment.name, order="number"):
            marks = remarked(served, live, served[-1] if served else None)
            served = [replace(one, mark=marks.get(one.number, one.mark)) for one in served] + [live]
        for one in served:
            if one.mark:
                ctx.ledger.releases.change(one, mark=one.mark)
