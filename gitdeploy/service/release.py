"""Releases: deployed by a push, promoted, redeployed. `rollback` is beside; `history` is where they are looked up."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from gitdeploy.domain.build import Build
from gitdeploy.domain.config import Config, ConfigVersion
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.options import Options
from gitdeploy.domain.refs import ZERO, Update
from gitdeploy.domain.release import Release
from gitdeploy.domain.role import Actor
from gitdeploy.domain.site import Site
from gitdeploy.domain.target import Target
from gitdeploy.errors import Failed, GitdeployError, Refused
from gitdeploy.git.repository import CommitInfo, Repository
from gitdeploy.runtime.apps import driver
from gitdeploy.runtime.apps.driver import App
from gitdeploy.service import (
    approval,
    bad_commits,
    building,
    diff,
    history,
    release_rehearsal,
    serving,
    surroundings,
)
from gitdeploy.service import config as configs
from gitdeploy.service import environment as environments
from gitdeploy.service.context import Context
from gitdeploy.service.down_migration import Down
from gitdeploy.service.exchange import Exchange
from gitdeploy.service.expectation import Expect, anything
from gitdeploy.service.journal import live_release
from gitdeploy.service.queue import HUNG_UP
from gitdeploy.service.release_rehearsal import Candidate
from gitdeploy.service.switch import Plan, switch
from gitdeploy.service.teller import Teller

DRY_RUN = "dry run: all checks passed and nothing was changed"


@dataclass(frozen=True)
class Ask:
    """What every order says: who, where, why, and who is told."""

    actor: str
    site: Site
    env: str = PRODUCTION
    reason: str = ""
    dry_run: bool = False
    no_cache: bool = False
    config: str = ""
    snapshot: bool = False
    force_schema: bool = False
    rehearse: bool = False
    rehearsal: str = ""
    override_freeze: bool = False
    at: str = ""
    teller: Teller = field(default_factory=Teller)
    gone: Callable[[], bool] = field(default=lambda: False)


class DryRun(Failed):
    """Everything was checked and nothing changed, because that is what was asked for."""

    code = "dry_run"
    exit_code = 0
    http_status = 200


def deploy(
    ctx: Context,
    actor: Actor,
    site: Site,
    env_name: str,
    update: Update,
    options: Options,
    teller: Teller,
    gone: Callable[[], bool],
    *,
    also: tuple[Update, ...] = (),
) -> Release:
    """A gated push: find or build, then switch with the branch moving in the same step."""
    repository = ctx.repository(site.name)
    commit = repository.commit(update.new)
    stop = gone if options.cancel_on_hangup else (lambda: False)
    ask = Ask(
        actor.name,
        site,
        env_name,
        options.reason,
        options.dry_run,
        options.no_cache,
        snapshot=options.snapshot,
        rehearse=options.rehearse,
        rehearsal=options.rehearsal,
        override_freeze=options.override_freeze,
        at=options.at,
        teller=teller,
        gone=stop,
    )
    _headline(ask, commit)
    _say_if_rolled_back(ctx, ask, update)
    bad_commits.say(ctx, site, env_name, commit.id, teller)
    with ctx.lanes.of(site.name, env_name).turn.hold(f"{actor.name}'s push of {commit.id[:7]}", teller, stop):
        update = _from_where_it_stands(repository, update)
        made = building.ensure(ctx, building.Wanted(site, commit, update.ref, ask.actor, teller, stop,
                                                afresh=options.no_cache))  # fmt: skip
        env = environments.ensure(ctx, site.name, env_name, branch=update.ref.removeprefix("refs/heads/"))

        def still() -> None:
            bad_commits.refuse_held(
                ctx, site, env_name, commit.id, resume=options.resume, actor=actor.name, at_once=True
            )

        return go_live(
            ctx, ask, env, made, commit, "promote" if made.reused else "deploy", moves=(update, *also),
            still=still,
        )  # fmt: skip


def promote(ctx: Context, ask: Ask, target: Target) -> Release:
    """A build, branch, tag, commit or release goes live as it was built; built first if it never was."""
    env = history.environment_of(ctx, ask.site, ask.env)
    commit, found = history.named(ctx, ask.site, env.name, target)
    _headline(ask, commit)
    bad_commits.say(ctx, ask.site, env.name, commit.id, ask.teller)
    made = building.Made(found, reused=True) if found else building.ensure(ctx, wanted(ask, commit, env))
    return go_live(ctx, ask, env, made, commit, "promote")


def redeploy(ctx: Context, ask: Ask, target: Target) -> Release:
    """A fresh build of the same commit."""
    env = history.environment_of(ctx, ask.site, ask.env)
    commit, _ = history.named(ctx, ask.site, env.name, target)
    _headline(ask, commit)
    made = building.ensure(ctx, dataclasses.replace(wanted(ask, commit, env), afresh=True))
    return go_live(ctx, ask, env, made, commit, "redeploy")


def go_live(
    ctx: Context,
    ask: Ask,
    env: Environment,
    made: building.Made,
    commit: CommitInfo | None,
    kind: str,
    *,
    goal: Release | None = None,
    config: int | None = None,
    moves: tuple[Update, ...] = (),
    still: Callable[[], None] = lambda: None,
    brings: Exchange | None = None,
    down: Down | None = None,
    late: Callable[[], None] | None = None,
) -> Release:
    """What every order comes to: all that may speak against it, then the switch. `down` was to be rehearsed; `brings`
    and `late` are as for `Plan`.
    """
    live = live_release(ctx, ask.site.name, env.name)
    serving.say_artifact(ctx, made.build, made.reused, ask.teller)
    serving.say_difference(ctx, live, made.build, ask.teller)
    if ask.dry_run:
        diff.say(ctx, env, live, made.build, ask.teller)
        serving.prove(ctx, made.build, live, made.fresh)
        if commit is not None:
            _ask_or_say(ctx, ask, env, kind, made.build, commit)
        raise DryRun(DRY_RUN)
    number = surroundings.config_number(ctx, env) if config is None else config
    candidate = Candidate(env, made.build, kind, number, down)
    if ask.rehearse:
        release_rehearsal.run(ctx, candidate, ask.actor, ask.teller)
    if brings is None or down is not None:
        release_rehearsal.require(ctx, candidate, ask.rehearsal)
    if commit is not None:
        approval.require(ctx, env, kind, made.build, commit.id, ask.actor)
    if ask.gone():
        raise Failed(f"The push was canceled: {HUNG_UP}.")

    def still_so() -> None:
        still()
        if brings is None or down is not None:
            release_rehearsal.require(ctx, candidate, ask.rehearsal)
        if commit is not None:
            approval.require(ctx, env, kind, made.build, commit.id, ask.actor)

    plan = Plan(
        env=env, kind=kind, build=made.build, commit=goal.commit if goal else commit.id if commit else "",
        subject=goal.subject if goal else commit.subject if commit else "", actor=ask.actor, reason=ask.reason,
        origin=goal.origin if goal else None, moves=moves, fresh=made.fresh, config=config, gone=ask.gone,
        still=still_so, brings=brings, late=late, snapshot=ask.snapshot, override_freeze=ask.override_freeze,
    )  # fmt: skip
    release = switch(ctx, plan, ask.teller)
    if commit is not None:
        approval.use(ctx, env, made.build, commit.id, ask.actor)
    return release


def go_live_with(
    ctx: Context, ask: Ask, env: Environment, goal: Release, brings: Exchange, still: Callable[[], None]
) -> Release:
    """The build of `goal` goes live together with other data, through the same switch."""
    made = building.Made(stored_build(ctx, goal), reused=True)
    return go_live(ctx, ask, env, made, None, "restore", goal=goal, brings=brings, still=still)


def stored_build(ctx: Context, goal: Release) -> Build:
    """The build of a release. Raises Failed when its files are gone."""
    build = ctx.ledger.builds.get(goal.build)
    if build is None or not serving.stored(ctx, build):
        raise Failed(f"The files of {goal.name} are no longer stored.", "Restore the data alone.")
    return build


def configure(
    ctx: Context,
    actor: Actor,
    site: Site,
    scope: str,
    put: Config,
    removed: Iterable[str],
    teller: Teller,
    expect: Expect = anything,
) -> tuple[ConfigVersion, list[Release]]:
    """Make a new version of a configuration, and have the apps that see it run with it: one release each.

    When a release does not become healthy with it, what was before is made the newest version again.
    """
    before = configs.newest(ctx, site.name, scope)
    version = configs.change(ctx, actor, site, scope, put, removed, expect)
    made = []
    for env in ctx.ledger.environments.where(site=site.name, order="created_at"):
        if surroundings.config_scope(env) != scope:
            continue
        try:
            made += _reconfigure(ctx, Ask(actor.name, site, env.name, teller=teller), env)
        except GitdeployError:
            if env.kind != "preview":
                configs.put_back(ctx, actor, site, scope, before)
            raise
    return version, made


def restart_moved(ctx: Context, site: Site, actor: str) -> None:
    """Start the apps of a site again whose folders were moved by a rename: beside the old ones, as in every switch."""
    for env in ctx.ledger.environments.where(site=site.name):
        live = live_release(ctx, site.name, env.name)
        if live is not None and driver.is_moved(App(ctx.home, site.name, env.folder, live.slot)):
            _reconfigure(ctx, Ask(actor, site, env.name, "the site was renamed"), env)


def wanted(ask: Ask, commit: CommitInfo, env: Environment) -> building.Wanted:
    ref = f"refs/heads/{env.branch}" if env.branch else "refs/live/" + env.folder
    return building.Wanted(ask.site, commit, ref, ask.actor, ask.teller, ask.gone, afresh=ask.no_cache)


def place(ask: Ask) -> str:
    return f"{ask.env} of {ask.site.name}"


# Private


def _reconfigure(ctx: Context, ask: Ask, env: Environment) -> list[Release]:
    """The processes of an environment get today's configuration: the same build through the same switch. Nothing
    where no app is live.
    """
    live = live_release(ctx, ask.site.name, env.name)
    build = ctx.ledger.builds.get(live.build) if live else None
    if live is None or live.serves != "app" or build is None:
        return []
    made = building.Made(build, reused=True)
    ask.teller.step(f"configuration c{surroundings.config_number(ctx, env)} of {place(ask)} by {ask.actor}")
    return [go_live(ctx, ask, env, made, None, "config", goal=replace(live, origin=0))]


def _ask_or_say(
    ctx: Context, ask: Ask, env: Environment, kind: str, build: Build, commit: CommitInfo
) -> None:
    """What is filed for its hour has until then to be approved."""
    if not ask.at:
        approval.say(ctx, env, kind, build, commit.id, ask.teller)
        return
    try:
        approval.require(ctx, env, kind, build, commit.id, ask.actor)
    except approval.Missing as missing:
        ask.teller.problem(missing.message, missing.hint)


def _headline(ask: Ask, commit: CommitInfo) -> None:
    ask.teller.step(f'{place(ask)}: {commit.id[:7]} "{commit.subject}" by {ask.actor}')


def _from_where_it_stands(repository: Repository, update: Update) -> Update:
    """The same push on top of those that went before it in the lane; raises Refused when it is not on top."""
    now = repository.ref(update.ref) or ZERO
    if now == update.old:
        return update
    if now != ZERO and repository.is_ancestor(now, update.new):
        return dataclasses.replace(update, old=now)
    branch = update.ref.removeprefix("refs/heads/")
    raise Refused(
        f"{branch} moved to {now[:7]} while this push waited, and {update.new[:7]} does not descend from it.",
        f"Fetch, rebase onto {branch} and push again.",
    )


def _say_if_rolled_back(ctx: Context, ask: Ask, update: Update) -> None:
    live = live_release(ctx, ask.site.name, ask.env)
    if live is not None and not update.creates and live.commit != update.old:
        ask.teller.detail(
            f"note: {ask.env} serves {live.name} ({live.commit[:7]}, {live.kind}), while the branch was at "
            f"{update.old[:7]}; this push goes on top of the branch"
        )
