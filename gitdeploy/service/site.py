"""Sites: made, listed, renamed, removed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from typing_extensions import TypedDict

from gitdeploy.domain.names import SiteName, host
from gitdeploy.domain.role import EVERY_SITE, Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.errors import Busy, Refused
from gitdeploy.git import repository as repositories
from gitdeploy.runtime.routes import Routes
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service import database, image, slot
from gitdeploy.service import domain as domains
from gitdeploy.service import release as releases
from gitdeploy.service.context import Context
from gitdeploy.service.expectation import Expect, anything
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock, durable, ids

_LIFE = ("created", "renamed", "removed")


def create(ctx: Context, actor: Actor, name: SiteName) -> Site:
    """Raises Busy when the name is taken. Repeating a creation that died half-way finishes it."""
    actor.need(Role.MAINTAINER, EVERY_SITE, "create a site")
    if ctx.ledger.sites.get(name) is not None:
        raise Busy(f"The site {name} exists already.", f"See: gitdeploy site show {name}")
    _refuse_leftovers(ctx, name)
    repositories.create(ctx.repository(name).path, branch="main", shared=ctx.home.git_config)
    with ctx.ledger.atomic():
        site = ctx.ledger.sites.add(Site(name, ids.new("site"), clock.now(), actor.name))
        ctx.event("site.created", actor=actor.name, site=name)
    return site


def listing(ctx: Context, actor: Actor, *, find: str = "", after: str = "", limit: int = -1) -> list[Site]:
    """Those that `actor` may see, by name; `find` is a part of it, `after` the name of the last one already seen."""
    where: dict[str, Any] = {} if EVERY_SITE in actor.sites else {"name": actor.sites}
    return ctx.ledger.sites.where(
        order="name", limit=limit, sql="name > ? AND instr(name, ?)", given=(after, find.lower()), **where
    )


def rename(ctx: Context, actor: Actor, site: Site, name: SiteName, expect: Expect = anything) -> Site:
    """Moves the repository, the folders and the addresses. The old addresses answer no more."""
    actor.need(Role.ADMIN, EVERY_SITE, "rename a site")
    if ctx.ledger.sites.get(name) is not None:
        raise Busy(f"The site {name} exists already.", "Choose another name.")
    with _nothing_moving(ctx, site):
        _refuse_while_building(ctx, site)
        _refuse_leftovers(ctx, name)
        with ctx.ledger.atomic():
            expect()
            ctx.ledger.execute("UPDATE sites SET name = ? WHERE name = ?", (name, site.name))
            ctx.ledger.execute("UPDATE grants SET site = ? WHERE site = ?", (name, site.name))
            ctx.event("site.renamed", actor=actor.name, site=name, data={"from": site.name})
        _move_in(ctx, site.name, name)
    releases.restart_moved(ctx, ctx.site(name), actor.name)
    return ctx.site(name)


def finish_renames(ctx: Context) -> None:
    """A rename that was killed after the ledger had the new name."""
    for site in ctx.ledger.sites.where():
        old = ctx.ledger.events.last(site.name, "site.renamed")
        if old is not None and not ctx.repository(site.name).exists:
            _move_in(ctx, str(old.data["from"]), site.name)


def finish_removals(ctx: Context) -> None:
    """A removal that was killed after the ledger had forgotten the site. Only what the audit log says was removed,
    and was not made again since.
    """
    for folder in ctx.home.repos.glob("*.git"):
        last = {kind: ctx.ledger.events.last(folder.stem, f"site.{kind}") for kind in _LIFE}
        removed = last.pop("removed")
        if removed is None or ctx.ledger.sites.get(folder.stem) is not None:
            continue
        if all(one is None or one.id < removed.id for one in last.values()):
            _remove_folders(ctx, folder.stem)


def remove(ctx: Context, actor: Actor, site: Site, *, confirmed: bool) -> None:
    actor.need(Role.ADMIN, EVERY_SITE, "remove a site")
    if not confirmed:
        raise Refused(
            f"Removing {site.name} deletes its repository and history for good.",
            f"Say so: gitdeploy site remove {site.name} --yes",
        )
    with _nothing_moving(ctx, site):
        _refuse_while_building(ctx, site)
        _forget_addresses(ctx, site.name)
        for one in ctx.ledger.environments.where(site=site.name):
            slot.end(ctx, one)
            database.remove(ctx, site.name, one.name)
        image.forget(ctx, site)
        with ctx.ledger.atomic():
            ctx.ledger.sites.remove(site)
            ctx.ledger.execute("DELETE FROM grants WHERE site = ?", (site.name,))
            ctx.event("site.removed", actor=actor.name, site=site.name)
        domains.settle(ctx)
        _remove_folders(ctx, site.name)


def lock(ctx: Context, actor: Actor, site: Site, reason: str, expect: Expect = anything) -> Site:
    """Nothing goes live on a locked site except a rollback, and previews; "" unlocks."""
    actor.need(Role.MAINTAINER, site.name, "lock or unlock it")
    with ctx.ledger.atomic():
        expect()
        changed = ctx.ledger.sites.change(site, lock=f"{actor.name}: {reason}" if reason else "")
        action = "lock.set" if reason else "lock.released"
        ctx.event(action, actor=actor.name, site=site.name, data={"reason": reason})
    return changed


class Remotes(TypedDict):
    http: str
    ssh: str
    path: str


def remotes(ctx: Context, site: Site) -> Remotes:
    """The addresses that it is pushed to."""
    return {
        "http": f"http://{ctx.listen}/{site.name}.git",
        "ssh": f"ssh://git@{ctx.server.domain}/{site.name}.git",
        "path": str(ctx.repository(site.name).path),
    }


@contextlib.contextmanager
def _nothing_moving(ctx: Context, site: Site) -> Iterator[None]:
    """Hold every lane of the site: no switch or move is under way, and what waits will find the site changed."""
    with contextlib.ExitStack() as held:
        lanes = [
            ctx.lanes.of(site.name, one.name)
            for one in ctx.ledger.environments.where(site=site.name, order="name")
        ]
        for gate in (*(lane.data for lane in lanes), *(lane.switch for lane in lanes)):
            held.enter_context(gate.hold("a change of the site itself", Teller(), lambda: False))
        yield


def _move_in(ctx: Context, old: str, new: str) -> None:
    """Bring what lies under the old name under the new one; safe to repeat. The repository comes last: while it
    is not there `finish_renames` does it again.
    """
    places = ctx.home.sites / new
    if (ctx.home.sites / old).exists():
        (ctx.home.sites / old).rename(places)
    labels = {one.folder: one.label for one in ctx.ledger.environments.where(site=new)}
    for place in places.iterdir() if places.is_dir() else []:
        Place(ctx.home, new, place.name).readdress()
        labels.setdefault(place.name, place.name)  # the permalink of a build
    domains.settle(ctx, new)
    _forget_addresses(ctx, old)
    for folder, label in labels.items():
        Routes(ctx.home).add(host(new, ctx.server.domain, label=label), new, folder)
    if ctx.repository(old).path.exists():
        ctx.repository(old).path.rename(ctx.repository(new).path)


def _remove_folders(ctx: Context, name: str) -> None:
    durable.remove_tree(ctx.home.sites / name)
    durable.remove_tree(ctx.repository(name).path)


def _forget_addresses(ctx: Context, site: str) -> None:
    routes = Routes(ctx.home)
    for one in routes.hosts():
        if one.site == site:
            routes.remove(one.host)


def _refuse_leftovers(ctx: Context, name: SiteName) -> None:
    """Bytes of a site that is no more must not come back under its name."""
    repository = ctx.repository(name)
    if repository.exists and repository.refs():
        raise Busy(
            f"{repository.path} is the repository of a site that is no longer there.",
            "Move it away; or, if the ledger was lost, see: gitdeploy recover --help",
        )
    durable.remove_tree(ctx.home.sites / name)


def _refuse_while_building(ctx: Context, site: Site) -> None:
    busy = ctx.ledger.builds.one(site=site.name, state=("queued", "building"))
    if busy is not None:
        raise Busy(
            f"{site.name} is building {busy.id}.", f"Wait, or: gitdeploy build cancel {busy.id}", again=30
        )
