"""Rollback: a release that served before is live again, by the same proof and switch as any other.

Its code alone, wherever that finds its databases as it knows them. Where it would not, there are three ways: back to a
snapshot with its code (`restore`), down with what the live code declares for it (`down_migration`), or by force.
"""

from __future__ import annotations

from dataclasses import replace

from gitdeploy.domain import diff as diff_rules
from gitdeploy.domain.config import difference
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.release import Release
from gitdeploy.domain.target import Target
from gitdeploy.errors import Busy
from gitdeploy.service import (
    beside,
    building,
    down_migration,
    history,
    migration,
    release_rehearsal,
    restore,
    serving,
    snapshot,
    surroundings,
)
from gitdeploy.service import config as configs
from gitdeploy.service import release as releases
from gitdeploy.service.context import Context
from gitdeploy.service.down_migration import Down
from gitdeploy.service.journal import live_release
from gitdeploy.service.release import Ask
from gitdeploy.service.release_rehearsal import Candidate
from gitdeploy.service.teller import Teller


def rollback(ctx: Context, ask: Ask, target: Target) -> Release:
    """Back (or forward again) to a release that served before. Raises Refused where its code would miss something in
    the databases, unless a rehearsed down-migration is named, or it is forced.
    """
    env = history.environment_of(ctx, ask.site, ask.env)
    goal = history.find(ctx, ask.site, env.name, target)
    ask.teller.step(
        f"rollback of {releases.place(ask)} to {goal.name}: {goal.commit[:7]} {goal.subject!r} by {ask.actor}"
    )
    made = _build_of(ctx, ask, env, goal)
    config = goal.config if ask.config == "then" else None
    _say_config(ctx, ask, env, goal)
    down = _chosen(ctx, ask, env, goal)
    if down is not None:
        down = replace(down, code=made.build.artifact or "")
        if not (ask.rehearse or ask.dry_run):
            return _with_down(ctx, ask, env, made, down, config)
        return releases.go_live(ctx, ask, env, made, None, "rollback", goal=goal, config=config, down=down)
    migration.refuse_across(ctx, env, goal, forced=ask.force_schema, teller=ask.teller)

    def still() -> None:
        migration.refuse_across(ctx, env, goal, forced=ask.force_schema, teller=Teller())

    return releases.go_live(ctx, ask, env, made, None, "rollback", goal=goal, config=config, still=still)


# Private


def _build_of(ctx: Context, ask: Ask, env: Environment, goal: Release) -> building.Made:
    """Built again where its files are gone."""
    found = ctx.ledger.builds.get(goal.build)
    if found is not None and serving.stored(ctx, found):
        return building.Made(found, reused=True)
    if found is not None:
        ask.teller.detail(f"the files of {goal.name} are no longer stored: building {goal.commit[:7]} again")
    commit = ctx.repository(ask.site.name).commit(goal.commit)
    return building.ensure(ctx, releases.wanted(ask, commit, env))


def _chosen(ctx: Context, ask: Ask, env: Environment, goal: Release) -> Down | None:
    """The down-migration, where one is needed and declared, and somebody wants it rehearsed or names a rehearsal."""
    live = live_release(ctx, env.site, env.name)
    if ask.force_schema or not (ask.rehearse or ask.rehearsal) or live is None or goal.serves != "app":
        return None
    return down_migration.declared(ctx, live, goal) if migration.crossed(ctx, env, goal) else None


def _with_down(
    ctx: Context, ask: Ask, env: Environment, made: building.Made, down: Down, config: int | None
) -> Release:
    """A proven snapshot, then one switch in whose pause the data is taken back and exchanged."""
    number = surroundings.config_number(ctx, env) if config is None else config
    candidate = Candidate(env, made.build, "rollback", number, down)
    who = f"{ask.actor}'s rollback to {down.goal.name}"

    def still() -> None:
        now = live_release(ctx, env.site, env.name)
        if now is None or now.id != down.live.id:
            raise Busy(
                f"{now.name if now else 'Nothing'} is live in {env.name} meanwhile.", "Rehearse it again."
            )

    with ctx.lanes.of(env.site, env.name).data.hold(who, ask.teller, ask.gone):
        still()
        release_rehearsal.require(ctx, candidate, ask.rehearsal)
        with restore.restoring(ctx, env):
            before = restore.safety(ctx, env, ask, f"rollback to {down.goal.name}")
            with beside.prepared(ctx, env, down.live.data, snapshot.kept(ctx, env)[1]) as brings:

                def late() -> None:
                    down_migration.bring(ctx, env, down, brings, ask.actor, ask.teller)

                done = releases.go_live(
                    ctx, replace(ask, snapshot=False), env, made, None, "rollback", goal=down.goal, config=config,
                    still=still, brings=brings, down=down, late=late,
                )  # fmt: skip
    option = "" if ask.env == "production" else f"--env {ask.env} "
    ask.teller.detail(
        f"undo: gitdeploy snapshot restore --code {option}--yes {env.site} {before.name} "
        f"(what is written from now on stays in a snapshot)"
    )
    return done


def _say_config(ctx: Context, ask: Ask, env: Environment, goal: Release) -> None:
    """How today's configuration differs from the one that the release ran with."""
    now = surroundings.config_number(ctx, env)
    if goal.serves != "app" or goal.config == now:
        return
    scope = surroundings.config_scope(env)
    old, new = (configs.at(ctx, ask.site.name, scope, number) for number in (goal.config, now))
    changes = difference(old, new)
    said = ", ".join(diff_rules.told(changes))
    taken = "then" if ask.config == "then" else "now"
    other = "" if taken == "then" else "; -o config=then takes the old one"
    ask.teller.detail(f"configuration of {taken}, since {goal.name}: {said or 'the same values'}{other}")
