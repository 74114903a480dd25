"""What is recorded and what is there, made to agree: at every start, and again every few minutes.

At start first the switches that a crash left open are finished or undone; then pushes that git had accepted are
built; then pointers, refs and addresses are compared with the ledger. Wanted state is compared with actual
state, so it does not matter which event was missed.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable

from gitdeploy.build import workspace
from gitdeploy.domain.build import OPEN
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.names import host
from gitdeploy.domain.refs import ZERO, Update
from gitdeploy.domain.site import Site
from gitdeploy.errors import Failed, GitdeployError
from gitdeploy.git.repository import Repository
from gitdeploy.git.transaction import RefTransaction
from gitdeploy.runtime.routes import Routes
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service import (
    beside,
    building,
    cutover,
    cutover_run,
    database,
    due,
    heads,
    idempotency,
    incident,
    journal,
    move_journal,
    push,
    restore,
    serving,
    slot,
    swarm,
)
from gitdeploy.service import domain as domains
from gitdeploy.service import environment as environments
from gitdeploy.service import release as releases
from gitdeploy.service import site as sites
from gitdeploy.service.context import Context
from gitdeploy.service.switch import note
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock

log = logging.getLogger("gitdeploy.reconcile")
_HAS_APPS = """EXISTS (SELECT 1 FROM releases WHERE (serves = 'app' OR image != '')
    AND releases.site = environments.site AND releases.env = environments.name
    AND (state = 'live' OR ended_at > strftime('%Y-%m-%dT%H', 'now', '-1 day')))"""
_NEWEST = 50  # releases
_LOST, _FORGOTTEN = 15.0, 3600.0  # seconds since a push was let through


def at_start(ctx: Context) -> None:
    """Settle what a crash left behind. No push is served before this has returned. What cannot be settled now
    is logged, and tried again when its environment is next switched: one damaged site does not stop the others.

    Raises Failed when the ledger is empty and the repositories are not: serving on would collect all they have.
    """
    _try("renames", sites.finish_renames, ctx)
    _try("removals", sites.finish_removals, ctx)
    _refuse_lost_ledger(ctx)
    workspace.remove(ctx.home.work)
    for site in ctx.ledger.sites.where():
        _break_stale_locks(ctx, site)
    for site_name, env in _left_open(ctx):
        _try(f"{site_name} {env}", journal.settle, ctx, site_name, env)
    _try("moves", move_journal.settle_all, ctx)
    _try("restores", restore.finish, ctx)
    _try("cutovers", cutover_run.settle, ctx)
    _try("schedules", due.finish, ctx)
    _try("answers", idempotency.lose, ctx)
    end_orphans(ctx)
    _try("notes", _tell_newest, ctx)
    _try("domains", domains.settle, ctx)
    still_open = _left_open(ctx)
    for one in ctx.ledger.environments.where():
        if (one.site, one.name) not in still_open:
            _try(f"{one.site} {one.name}", _agree, ctx, one)
    for site in ctx.ledger.sites.where():
        _try(site.name, building.show_missing_permalinks, ctx, site)


def moved_apps(ctx: Context) -> None:
    """Apps whose site was renamed by somebody who was killed before they were started again."""
    for site in ctx.ledger.sites.where():
        _try(site.name, releases.restart_moved, ctx, site, "gitdeploy")


def pending_pushes(ctx: Context) -> None:
    """Build what was accepted and not acted on, with its actor and options."""
    for pending in ctx.ledger.pushes.where(order="id"):
        push.carry_on(ctx, pending, Teller())


def lost_pushes(ctx: Context) -> None:
    """The same for those whose git died after it had moved the branch and before it could say so. What git never
    moved is forgotten after an hour: until then it may still be about to.
    """
    for pending in ctx.ledger.pushes.where(order="id"):
        moved = (ctx.repository(pending.site).ref(pending.ref) or ZERO) == pending.new
        if pending.created_at < clock.later(-_LOST if moved else -_FORGOTTEN):
            push.carry_on(ctx, pending, Teller())


def end_orphans(ctx: Context) -> None:
    """Builds that are open in the ledger only: the daemon was killed, or the disk was full when they ended."""
    for build in ctx.ledger.builds.where(state=OPEN):
        if ctx.queue.of(build.id) is not None:
            continue
        now = ctx.ledger.builds.get(build.id)  # a build leaves the queue after its last word here
        if now is not None and now.state in OPEN:
            said = "gitdeploy stopped while this build was under way; an accepted push is built again."
            ctx.ledger.builds.change(build, state="canceled", error=said, finished_at=clock.now())


def again(ctx: Context) -> None:
    """The periodic part: what a full disk or a killed git left over, previews whose branch is gone or whose time is
    up, branches that moved without us.
    """
    _try("lost pushes", lost_pushes, ctx)
    _try("orphans", end_orphans, ctx)
    for site_name, env in _left_open(ctx, since=clock.later(-_LOST)):
        _try(f"{site_name} {env}", _settle_in_its_lane, ctx, site_name, env)
    _try("moves", move_journal.settle_all, ctx)
    _try("notes", _tell_again, ctx)
    for site in ctx.ledger.sites.where():
        stamp = ctx.repository(site.name).branches_stamp()
        if ctx.settled.get(site.id) == stamp:
            continue  # most sites, most of the time: looking at them must cost next to nothing
        try:
            if heads.catch_up(ctx, site) and _previews_without_branch(ctx, site):
                ctx.settled[site.id] = stamp
        except GitdeployError as error:
            log.warning("%s: %s", site.name, error.message)
    _try("cutovers", cutover_run.settle, ctx)
    _try("cutovers", cutover.watch, ctx)
    _try("late previews", _late_previews, ctx)
    _try("databases", database.remove_orphans, ctx)


def keep_apps(ctx: Context) -> None:
    """What should run runs, and what has been left ends, wherever nothing is being switched just now."""
    for one in ctx.ledger.environments.where(sql=_HAS_APPS):
        gate = ctx.lanes.of(one.site, one.name).switch
        if gate.free:
            with gate.hold("its processes", Teller(), gone=lambda: True):
                _try(f"{one.site} {one.name}", slot.keep, ctx, one)
                _try(f"{one.site} {one.name}", beside.sweep, ctx, one)


def _refuse_lost_ledger(ctx: Context) -> None:
    if ctx.ledger.sites.where(limit=1):
        return
    for repository in sorted(ctx.home.repos.glob("*.git")):
        if Repository(repository).refs("refs/releases/"):
            raise Failed(
                f"The ledger is empty, but {repository.name} has releases.",
                f"Move it away (mv {ctx.home.ledger} {ctx.home.ledger}.old), then run: gitdeploy recover",
            )


def _try(what: str, act: Callable[..., object], *given: object) -> None:
    try:
        act(*given)
    except GitdeployError as error:
        log.error("%s: %s %s", what, error.message, error.hint)
    except Exception:
        log.exception("%s", what)


def _left_open(ctx: Context, since: str = "~") -> set[tuple[str, str]]:
    """The environments with a switch or release that is neither live nor failed, and older than `since`."""
    switches = {(one.site, one.env) for one in journal.unsettled(ctx) if one.created_at < since}
    pending = ctx.ledger.releases.where(state="pending")
    return switches | {(one.site, one.env) for one in pending if one.created_at < since}


def _previews_without_branch(ctx: Context, site: Site) -> bool:
    """Take them away; whether there was none."""
    branches = ctx.repository(site.name).refs("refs/heads/")
    for one in environments.listing(ctx, site, "named"):
        if f"refs/heads/{one.branch}" in branches:  # else nobody but a person takes it away
            environments.preview_by_now(ctx, one)
    previews = environments.listing(ctx, site, "preview")
    gone = [one for one in previews if f"refs/heads/{one.branch}" not in branches]
    for preview in gone:
        _take_away(ctx, preview)
    return not gone


def _late_previews(ctx: Context) -> None:
    for preview in ctx.ledger.environments.where(kind="preview", sql="expires_at <= ?", given=(clock.now(),)):
        _take_away(ctx, preview)


def _take_away(ctx: Context, preview: Environment) -> None:
    """Unless a push to its branch or its cutover is under way, or the branch has become that of a named environment."""
    waiting = ctx.ledger.pushes.one(site=preview.site, ref=f"refs/heads/{preview.branch}")
    needed = ctx.ledger.cutovers.one(site=preview.site, preview=preview.name, state="in_progress")
    if waiting is None and needed is None and environments.named_by_now(ctx, preview).kind == "preview":
        environments.tear_down(ctx, preview, actor="gitdeploy")


def _settle_in_its_lane(ctx: Context, site: str, env: str) -> None:
    """Unless somebody is in there: then it is under way, or about to be settled."""
    gate = ctx.lanes.of(site, env).switch
    if gate.free:
        with gate.hold("settling", Teller(), gone=lambda: True):
            journal.settle(ctx, site, env)


def _tell_newest(ctx: Context) -> None:
    """A note that a crash or a full disk kept from being written is one of the newest."""
    newest = ctx.ledger.releases.where(sql="live_at IS NOT NULL", order="live_at DESC", limit=_NEWEST)
    ctx.untold.extend(reversed(newest))
    _tell_again(ctx)


def _tell_again(ctx: Context) -> None:
    for release in list(ctx.untold):
        note(ctx, release)
        incident.after(ctx, release, Teller())
        ctx.untold.remove(release)


def _agree(ctx: Context, environment: Environment) -> None:
    """Pointer, live ref, address and note say what the ledger says."""
    live = journal.live_release(ctx, environment.site, environment.name)
    if live is None:
        return
    place = Place(ctx.home, environment.site, environment.folder)
    if live.image:
        swarm.lay_out(ctx, environment, live)
    if live.serves == "app" or live.image:
        slot.keep(ctx, environment)
    if place.current() != live.slot:
        log.warning(
            "%s %s pointed at %s, not %s", environment.site, environment.name, place.current(), live.slot
        )
        if live.serves == "files" and not live.image:
            build = ctx.ledger.builds.get(live.build)
            if build is None:
                return
            serving.prepare(ctx, place, live.slot, serving.prove(ctx, build, None, frozenset()))
        place.point(live.slot)
    repository = ctx.repository(environment.site)
    ref = f"refs/live/{environment.folder}"
    held = repository.ref(ref)
    if held != live.commit:
        with RefTransaction(repository, [Update(held or ZERO, live.commit, ref)]) as refs:
            refs.commit()
    label = host(environment.site, ctx.server.domain, label=environment.label)
    Routes(ctx.home).add(label, environment.site, environment.folder)


def _break_stale_locks(ctx: Context, site: Site) -> None:
    """A ref's lock file outlives a machine that lost power; a living git holds one for moments only. The lock of
    the notes is held by nobody but us.
    """
    folder = ctx.repository(site.name).path
    ours = folder / "refs/notes/deploys.lock"
    for lock in (*folder.glob("*.lock"), *folder.glob("refs/**/*.lock")):
        with contextlib.suppress(FileNotFoundError):
            if lock == ours or time.time() - lock.lstat().st_mtime > 60:
                log.warning("%s: removing the stale lock %s", site.name, lock.relative_to(folder))
                lock.unlink()
