"""The switch: the one way an environment is re-pointed, for push, promote, rollback, redeploy and preview alike.

    prove     signature, provenance and bytes of what is about to be served
    prepare   a slot that holds it, beside the one that serves
    health    what a visitor would get from it
    switch    refs locked, pointer renamed, refs committed: one journalled step
    record    the ledger says what just became true
    retire    old slots; a failure here never undoes a live release

Whatever fails leaves everything as it was; `journal` says how a crash in the middle is settled.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from gitdeploy.domain.build import Build
from gitdeploy.domain.digest import Digest
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.names import PRODUCTION, host
from gitdeploy.domain.refs import ZERO, Update
from gitdeploy.domain.release import FORWARD, NOTED, Release
from gitdeploy.domain.switch import SwitchRecord
from gitdeploy.errors import Busy, GitdeployError
from gitdeploy.git import notes
from gitdeploy.runtime.apps import driver
from gitdeploy.runtime.routes import Routes
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service import freeze, handover, incident, journal, serving, slot, snapshot, surroundings
from gitdeploy.service.context import Context
from gitdeploy.service.exchange import Exchange
from gitdeploy.service.journal import live_release
from gitdeploy.service.serving import Proven
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock, ids

log = logging.getLogger("gitdeploy.switch")


@dataclass(frozen=True)
class Plan:
    """What is to become true. `moves` are refs of the push that move together with the pointer; `fresh` are
    blobs that this very request wrote, so their bytes need no second reading. `config` is the number of the
    configuration to run with, None for today's. `brings` is data that takes the place of today's; `late` makes it what
    it has to be, once visitors wait and nobody writes. With `snapshot` what is there is captured and proven first.
    `override_freeze` lets it through a freeze. `still` raises what speaks against it by then.
    """

    env: Environment
    kind: str
    build: Build
    commit: str
    subject: str
    actor: str
    reason: str = ""
    origin: int | None = None
    moves: tuple[Update, ...] = ()
    fresh: frozenset[Digest] = frozenset()
    config: int | None = None
    brings: Exchange | None = None
    late: Callable[[], None] | None = None
    snapshot: bool = False
    override_freeze: bool = False
    gone: Callable[[], bool] = field(default=lambda: False)
    still: Callable[[], None] = field(default=lambda: None)


def switch(ctx: Context, plan: Plan, teller: Teller) -> Release:
    """Raises NotProven, Failed (health) or Busy (a ref moved, locked, removed); then nothing has changed."""
    site, env = plan.env.site, plan.env
    lane = ctx.lanes.of(site, env.name)
    artifact = Digest.parse(plan.build.artifact or "")
    with lane.switch.hold(f"{plan.actor}'s {plan.kind}", teller, plan.gone), ctx.store.hold(artifact):
        _refuse_if_stopped(ctx, plan)
        journal.settle(ctx, site, env.name)
        started = time.monotonic()
        live = live_release(ctx, site, env.name)
        proven = serving.prove(ctx, plan.build, live, plan.fresh)
        release = _reserve(ctx, plan, live, proven.is_app)
        place = Place(ctx.home, site, env.folder)
        record: SwitchRecord | None = None
        try:
            Routes(ctx.home).add(host(site, ctx.server.domain, label=env.label), site, env.folder)
            _capture_before(ctx, plan, release, proven, teller)
            if plan.brings is None:
                release = slot.make_ready(ctx, env, release, proven, teller)
                record = journal.begin(ctx, release, place, _updates(ctx, plan, release), None)
                release = journal.move(ctx, env, release, record, place, teller)
            else:
                release, successor = handover.prepare(
                    ctx, env, release, proven, plan.brings, live, teller, late=plan.late is not None
                )
                record = journal.begin(ctx, release, place, _updates(ctx, plan, release), plan.brings)
                release = handover.exchange(
                    ctx, env, release, record, successor, plan.brings, teller, plan.late
                )
        except BaseException as error:
            if record is None or place.current() != record.new_slot:
                _clean_up(ctx, plan, release, error, record)
            raise
        _say_live(ctx, plan, release, live, teller, time.monotonic() - started)
        if release.served:
            _after(ctx, env, release)
            incident.after(ctx, release, teller)
    return release


def note(ctx: Context, release: Release) -> None:
    """Tell of the release in the repository itself; one that is told of already is left alone."""
    with ctx.notes_locks[release.site]:
        notes.append(ctx.repository(release.site), release.commit, _note(ctx, release))


def refuse_if_locked(ctx: Context, env: Environment) -> None:
    """A lock stops production and named environments; previews go on."""
    lock = ctx.site(env.site).lock
    if lock and env.kind != "preview":
        raise Busy(
            f"{env.site} is locked by {lock}.",
            f"Nothing goes live in {env.name} until: gitdeploy unlock {env.site}",
        )


def refuse_if_restoring(ctx: Context, env: Environment) -> None:
    now = ctx.ledger.environments.get(env.site, env.name)
    if now is not None and now.state == "restoring":
        raise Busy(
            f"The data of {env.name} of {env.site} is being replaced.", "Wait until that has ended.", again=10
        )


def _refuse_if_stopped(ctx: Context, plan: Plan) -> None:
    """Asked in the lane: what was true when the push began may be no longer."""
    ctx.lead.need()
    if ctx.ledger.environments.get(plan.env.site, plan.env.name) is None:
        raise Busy(f"{plan.env.name} of {plan.env.site} was removed meanwhile.", "Push its branch again.")
    if plan.kind != "rollback":
        refuse_if_locked(ctx, plan.env)
        if plan.override_freeze:
            freeze.say_overridden(ctx, plan.env, plan.actor, plan.reason)
        else:
            freeze.refuse(ctx, plan.env)
    if plan.brings is None:
        refuse_if_restoring(ctx, plan.env)
    plan.still()


def _reserve(ctx: Context, plan: Plan, live: Release | None, is_app: bool) -> Release:
    config = surroundings.config_number(ctx, plan.env) if plan.config is None else plan.config
    data = plan.brings.data if plan.brings else live.data if live else slot.FIRST
    with ctx.ledger.atomic():
        site = ctx.site(plan.env.site)
        number = site.last_release + 1
        ctx.ledger.sites.change(site, last_release=number)
        release = Release(
            id=ids.new("rel"), site=site.name, number=number, env=plan.env.name, kind=plan.kind,
            state="pending", commit=plan.commit, subject=plan.subject, build=plan.build.id,
            artifact=plan.build.artifact or "", actor=plan.actor, created_at=clock.now(),
            origin=plan.origin or number, reason=plan.reason, serves="app" if is_app else "files",
            slot=f"r{number}", config=config if is_app else 0, data=data,
        )  # fmt: skip
        return ctx.ledger.releases.add(
            replace(release, slot=slot.warm(ctx, plan.env, release) or release.slot)
        )


def _capture_before(ctx: Context, plan: Plan, release: Release, proven: Proven, teller: Teller) -> None:
    """A release command may do anything to the databases, so there is a way back before it runs; it is proven later, in
    nobody's way, unless somebody asked for it.
    """
    migrates = (
        plan.kind in FORWARD and "release" in proven.settings["processes"] and plan.env.kind != "preview"
    )
    live = live_release(ctx, plan.env.site, plan.env.name)
    if (
        live is None
        or live.serves != "app"
        or not (plan.snapshot or (migrates and snapshot.kept(ctx, plan.env)[1]))
    ):
        return
    taken = snapshot.capture_now(ctx, plan.env, plan.actor, teller, cause=f"before {release.name}")
    if plan.snapshot:
        snapshot.prove(ctx, taken, teller)


def _updates(ctx: Context, plan: Plan, release: Release) -> list[Update]:
    repository = ctx.repository(release.site)
    live = f"refs/live/{plan.env.folder}"
    return [
        *plan.moves,
        Update(repository.ref(live) or ZERO, plan.commit, live),
        Update(ZERO, plan.commit, f"refs/releases/{release.name}"),
    ]


def _clean_up(
    ctx: Context, plan: Plan, release: Release, error: BaseException, record: SwitchRecord | None
) -> None:
    """What is still in the way, such as a full disk, must not hide the error itself."""
    try:
        if record is not None and plan.brings is not None:
            plan.brings.put_back()
        journal.undo(ctx, release, error, record)
        slot.keep(ctx, plan.env)
        if plan.brings is not None:
            driver.drain(slot.app_of(ctx, plan.env, release))  # whoever prepared the data can remove it then
    except (GitdeployError, OSError) as worse:
        log.warning("%s %s: %s is not cleaned up yet: %s", release.site, release.env, release.name, worse)


def _say_live(
    ctx: Context, plan: Plan, release: Release, live: Release | None, teller: Teller, seconds: float
) -> None:
    url = ctx.url(release.site, plan.env.label)
    place = "live" if plan.env.name == PRODUCTION else f"{plan.env.kind} {plan.env.name} is live"
    teller.done(f"{place}: {release.name}  {url}  ({seconds:.1f} s)")
    if live is not None and plan.brings is None:  # a rollback brings no data back
        option = "" if plan.env.name == PRODUCTION else f" -o env={plan.env.name}"
        teller.detail(f"undo: git push{option} managed HEAD:rollback/{live.name}")


def _after(ctx: Context, env: Environment, release: Release) -> None:
    """What follows a live release. It is told when it fails, and never takes the release back."""
    try:
        note(ctx, release)
        slot.keep(ctx, env)
    except Exception as error:
        log.exception("after %s of %s went live", release.name, release.site)
        ctx.untold.append(release)
        with contextlib.suppress(GitdeployError):
            ctx.event(
                "release.cleanup_failed", actor=release.actor, site=release.site, env=release.env,
                subject=release.name, data={"error": str(error)},
            )  # fmt: skip


def _note(ctx: Context, release: Release) -> str:
    """What `recover` needs to know; `site` is its id, which survives a rename and is what builds are signed for."""
    told = {"site": ctx.site(release.site).id, **{name: getattr(release, name) for name in NOTED}}
    return json.dumps(told, sort_keys=True, ensure_ascii=False)
