"""Pictures of what would change: the pages of what is live and of a candidate, taken by a browser and kept."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gitdeploy.domain import pictures as rules
from gitdeploy.domain.build import Build
from gitdeploy.domain.digest import Digest
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.names import PRODUCTION, build_label, host
from gitdeploy.domain.pictures import MOST, Pictures
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.errors import Failed, NotFound
from gitdeploy.runtime import browser
from gitdeploy.service import diff, history
from gitdeploy.service.context import Context
from gitdeploy.service.journal import live_release
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock, durable, ids
from gitdeploy.store.publish import NewFile

_SIDES = ("live", "candidate")


def take(ctx: Context, actor: Actor, site: Site, env: str, target: str, teller: Teller) -> Pictures:
    """Of the pages that going live with `target` would change, and of some that it may. Raises Failed without a
    browser, or when the candidate is served nowhere.
    """
    actor.need(Role.DEVELOPER, site.name, "take pictures")
    if missing := browser.missing():
        raise Failed(f"No pictures can be taken: {missing}.", "gitdeploy diff without --pictures needs none.")
    place = history.environment_of(ctx, site, env)
    build = diff.candidate(ctx, site, place, target)
    live = live_release(ctx, site.name, place.name)
    if live is None:
        raise NotFound(
            f"Nothing is live in {place.name} of {site.name}.", "There is nothing to compare with."
        )
    urls = {"live": ctx.url(site.name, place.label), "candidate": _served(ctx, site, build)}
    listed = [
        path
        for url in urls.values()
        for path in rules.in_sitemap(browser.text(url + "sitemap.xml", ctx.edge))
    ]
    chosen = rules.worth_a_look(diff.between(ctx, place, live, build)["pages"], listed)
    told: list[dict[str, str]] = []
    durable.make_folder(ctx.home.work)
    with tempfile.TemporaryDirectory(dir=ctx.home.work) as folder:
        Path(folder).chmod(0o777)  # the browser is another user; the folder above is ours alone
        files = list(_pictures(ctx, urls, chosen[:MOST], Path(folder), told, teller))
    with ctx.store.publish_whole(files, like=None) as published, ctx.ledger.atomic():
        made = ctx.ledger.pictures.add(
            Pictures(
                id=ids.new("pic"), site=site.name, env=place.name, live=live.artifact,
                candidate=build.artifact or "", build=build.id, artifact=published.manifest.root,
                pages=json.dumps(told), more=max(0, len(chosen) - MOST), created_at=clock.now(), actor=actor.name,
            )
        )  # fmt: skip
        ctx.event("pictures.taken", actor=actor.name, site=site.name, env=place.name, subject=made.id,
                  data={"build": build.id, "live": live.name})  # fmt: skip
    return made


def find(ctx: Context, site: Site, id: str) -> Pictures:
    """By id, by the build they were taken for (the newest), or `latest`. Raises NotFound."""
    for where in ({} if id == "latest" else {"id": id}, {"build": id}):
        found = ctx.ledger.pictures.one(site=site.name, order="id DESC", **where)
        if found is not None:
            return found
    raise NotFound(
        f"{site.name} has no pictures {id[:40]!r}.", f"Take them: gitdeploy diff {site.name} --pictures DIR"
    )


def listing(ctx: Context, site: Site, *, before: str = "~", limit: int = 50) -> list[Pictures]:
    """Newest first; `before` is the id of the last one already seen."""
    return ctx.ledger.pictures.where(
        site=site.name, order="id DESC", limit=limit, sql="id < ?", given=(before,)
    )


def of_build(ctx: Context, site: Site, build: str) -> Pictures | None:
    """The newest that were taken for a build."""
    return ctx.ledger.pictures.one(site=site.name, build=build, order="id DESC")


def png(ctx: Context, pictures: Pictures, number: int, side: str) -> bytes:
    """Raises NotFound."""
    entry = ctx.store.load(Digest.parse(pictures.artifact)).get(f"{number}-{side}.png".encode())
    if entry is None:
        raise NotFound(f"{pictures.id} has no such picture.", "")
    return ctx.store.blob(entry.digest).read_bytes()


# Private


def _served(ctx: Context, site: Site, build: Build) -> str:
    """Where the candidate can be looked at: in an environment that serves the same bytes, or at its own address."""
    same = ctx.ledger.releases.where(site=site.name, state="live", artifact=build.artifact)
    for release in sorted(same, key=lambda one: one.env == PRODUCTION):
        env: Environment | None = ctx.ledger.environments.get(site.name, release.env)
        if env is not None:
            return ctx.url(site.name, env.label)
    for one in ctx.ledger.builds.where(site=site.name, artifact=build.artifact):
        label = build_label(one.id)
        if (ctx.home.live / host(site.name, ctx.server.domain, label=label)).is_symlink():
            return ctx.url(site.name, label)
    raise Failed(
        f"{build.id} is served nowhere to look at.", "Push its commit to a branch, which gets a preview."
    )


def _pictures(
    ctx: Context, urls: dict[str, str], chosen: list[tuple[str, str]], folder: Path, told: list[dict[str, str]],
    teller: Teller,
) -> Iterator[NewFile]:  # fmt: skip
    for number, (page, kind) in enumerate(chosen):
        missing = {"added": "live", "removed": "candidate"}.get(kind)
        seen = {}
        for side in _SIDES:
            if side != missing:
                name = f"{number}-{side}.png"
                seen[side] = browser.picture(urls[side].rstrip("/") + page, ctx.edge, folder, name)
                yield NewFile(name.encode(), "file", (seen[side],))
        change = kind if missing else "same" if seen["live"] == seen["candidate"] else "changed"
        told.append({"page": page, "change": change})
        teller.detail(f"{page}: looks {'the same' if change == 'same' else change}")
