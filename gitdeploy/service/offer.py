"""What can be done with an environment now; and where something cannot, the reason, before anybody tries."""

from __future__ import annotations

from gitdeploy.domain.approval import Approval, Vote
from gitdeploy.domain.config import difference
from gitdeploy.domain.diff import Names
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.rehearsal import Rehearsal
from gitdeploy.domain.release import Release
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.domain.target import Previous
from gitdeploy.errors import GitdeployError, NotFound, Refused
from gitdeploy.service import config, down_migration, freeze, history, migration, surroundings
from gitdeploy.service.context import Context
from gitdeploy.service.journal import live_release
from gitdeploy.service.teller import Teller


def rollback(ctx: Context, actor: Actor, site: Site, env: Environment) -> str:
    """Why nothing can be rolled back in `env` just now; "" when something can."""
    if why := lacking(actor, Role.MAINTAINER, site.name, "roll back", env.name):
        return why
    served = ctx.ledger.releases.where(
        site=site.name, env=env.name, sql="live_at IS NOT NULL", order="number DESC", limit=2
    )
    if len(served) < 2:
        return f"There is nothing to go back to: {env.name} has had no release before this one."
    return under_way(ctx, env)


def previous(ctx: Context, site: Site, env: Environment) -> Release | None:
    """What `rollback/previous` would go to; None when nothing before what is live is good and other than that."""
    try:
        return history.find(ctx, site, env.name, Previous())
    except NotFound:
        return None


def way_down(ctx: Context, env: Environment, goal: Release) -> tuple[str, Rehearsal | None]:
    """The command with which the live code migrates down to `goal`, "" when it declares none; and the newest rehearsal
    of that, if it went well.
    """
    live = live_release(ctx, env.site, env.name)
    down = down_migration.declared(ctx, live, goal) if live is not None and live.serves == "app" else None
    if down is None:
        return "", None
    found = ctx.ledger.rehearsals.one(
        site=env.site, env=env.name, verb="rollback", subject=goal.artifact, order="id DESC"
    )
    went_well = (
        found is not None and not found.error and found.of.said.get("what it goes back to") == goal.name
    )
    return down.command, found if went_well else None


def promote(ctx: Context, actor: Actor, site: Site, env: Environment) -> str:
    """Why nothing may go live in `env` just now; "" when something may. Who may override a freeze is asked for it."""
    if why := lacking(actor, Role.MAINTAINER, site.name, f"promote to {env.name}", env.name):
        return why
    if site.lock and env.kind != "preview":
        return f"{site.name} is locked by {site.lock}."
    overrides = not lacking(actor, Role.OPERATOR, site.name, "override a freeze", env.name)
    if (
        env.kind != "preview"
        and not overrides
        and (window := freeze.holding(ctx, site, env.name)) is not None
    ):
        return (
            f"{env.name} of {site.name} is frozen{' until ' * bool(window.end)}{window.end}: {window.said}."
        )
    return under_way(ctx, env)


def approve(actor: Actor, asked: Approval) -> str:
    """Why `actor` may not approve what is asked for; "" when they may."""
    if why := lacking(
        actor, Role.MAINTAINER, asked.site, f"approve what goes live in {asked.env}", asked.env
    ):
        return why
    try:
        asked.with_vote(Vote(actor.name, ""))
    except GitdeployError as error:
        return error.message
    return ""


def under_way(ctx: Context, env: Environment) -> str:
    """What is changing `env` at this moment. A build is not: a rollback never waits for one."""
    pending = ctx.ledger.releases.one(state="pending", site=env.site, env=env.name)
    if pending is not None:
        return f"{pending.name} is on its way to {env.name} right now."
    if env.state == "restoring":
        return f"{env.name} is being restored right now."
    return "" if ctx.lanes.of(env.site, env.name).switch.free else f"{env.name} is being switched right now."


def lacking(actor: Actor, role: Role, site: str, action: str, env: str = "") -> str:
    """Why `actor` may not, for want of a role; "" when they may."""
    try:
        actor.need(role, site, action, env)
    except Refused as error:
        return error.message
    return ""


def schema_between(ctx: Context, env: Environment, goal: Release) -> tuple[list[str], GitdeployError | None]:
    """What the code of `goal` would find changed in today's databases, and the refusal that it would meet."""
    said: list[str] = []
    try:
        teller = Teller(lambda line: said.append(line.decode("utf-8", "replace").strip()))
        migration.refuse_across(ctx, env, goal, forced=False, teller=teller)
    except GitdeployError as error:
        return said, error
    return said, None


def config_between(ctx: Context, env: Environment, goal: Release) -> Names | None:
    """The names of variables that changed since `goal` ran; None when nothing is another."""
    now = surroundings.config_number(ctx, env)
    if goal.serves != "app" or goal.config == now:
        return None
    scope = surroundings.config_scope(env)
    then, today = (config.at(ctx, env.site, scope, number) for number in (goal.config, now))
    found = difference(then, today)
    return found if any(found.values()) else None
