"""Environments: made when first needed, refreshed by a push to their branch, torn down with it."""

from __future__ import annotations

import contextlib
import json
import re

from gitdeploy.domain import options as push_options
from gitdeploy.domain.environment import KINDS, Environment
from gitdeploy.domain.names import PRODUCTION, host, slug
from gitdeploy.domain.options import Options
from gitdeploy.domain.push import PendingPush
from gitdeploy.domain.refs import ZERO, Update
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.errors import Busy, Failed, NotFound
from gitdeploy.git.transaction import RefTransaction
from gitdeploy.runtime.routes import Routes
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service import (
    approval,
    bad_commits,
    building,
    database,
    freeze,
    policy,
    preview_data,
    serving,
    slot,
)
from gitdeploy.service.context import Context
from gitdeploy.service.journal import live_release
from gitdeploy.service.mishap import plainly
from gitdeploy.service.switch import Plan, refuse_if_locked, switch
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock

_SKIP = re.compile(r"\[(?:skip (?:ci|deploy)|(?:ci|deploy) skip)\]", re.IGNORECASE)


def ensure(ctx: Context, site: str, name: str, *, branch: str) -> Environment:
    """The environment of that name, made when there is none: production, a named one, or a branch's preview."""
    found = ctx.ledger.environments.get(site, name)
    if found is not None:
        if branch and found.branch != branch:
            found = ctx.ledger.environments.change(found, branch=branch)
        return named_by_now(ctx, found)
    settings = policy.of_site(ctx.site(site), ctx.repository(site))
    with ctx.ledger.atomic():
        taken = frozenset(one.folder for one in ctx.ledger.environments.where(site=site))
        kind = "production" if name == PRODUCTION else "named" if name in settings.environments else "preview"
        folder = PRODUCTION if kind == "production" else slug(name, site=site, taken=taken)
        branch = branch or (settings.production.branch if name == PRODUCTION else name)
        made = ctx.ledger.environments.add(Environment(site, name, kind, branch, folder, clock.now()))
        ctx.event(
            "preview.created" if kind == "preview" else "environment.created", actor="", site=site, env=name
        )
    return made


def named_by_now(ctx: Context, env: Environment) -> Environment:
    """A preview by the name of an environment that the live gitdeploy.toml has meanwhile is that environment."""
    if env.kind != "preview":
        return env
    named = policy.of_site(ctx.site(env.site), ctx.repository(env.site)).environments.get(env.name)
    if named is None:
        return env
    with ctx.ledger.atomic():
        ctx.event("environment.created", actor="", site=env.site, env=env.name)
        return ctx.ledger.environments.change(env, kind="named", branch=named.branch, expires_at=None)


def preview_by_now(ctx: Context, env: Environment) -> Environment:
    """An environment that the live gitdeploy.toml no longer names is the preview of its branch, where it was, and
    lives as long as that unless it is pushed to.
    """
    if env.kind != "named":
        return env
    if env.name in policy.of_site(ctx.site(env.site), ctx.repository(env.site)).environments:
        return env
    with ctx.ledger.atomic():
        ctx.event("environment.unnamed", actor="", site=env.site, env=env.name, data={"branch": env.branch})
        return ctx.ledger.environments.change(env, kind="preview", expires_at=None)


def refresh(ctx: Context, pending: PendingPush, teller: Teller) -> None:
    """Build what was pushed to a branch and let its environment follow. Ends by forgetting the pending push, so
    a crash at any point means it is done again.
    """
    if ctx.ledger.pushes.get(pending.id, pending.ref) is None:
        return  # somebody else did it already
    site = ctx.site(pending.site)
    branch = pending.ref.removeprefix("refs/heads/")
    options = push_options.parse(json.loads(pending.options))
    try:
        if pending.new == ZERO:
            _deleted(ctx, site, pending, teller)
        elif ctx.repository(site.name).ref(pending.ref) == pending.new:
            _build_and_show(ctx, site, branch, pending, options, teller)
    except Exception as error:
        if ctx.queue.stopping.is_set():
            return  # it stays pending and is built at the next start
        told = plainly(error, f"push {pending.id} of {pending.site}")
        teller.problem(told.message, told.hint)
        if isinstance(error, approval.Missing) or (
            isinstance(error, Busy) and _is_stopped(ctx, site, branch)
        ):
            return  # it stays pending and goes live once the site is unlocked, the freeze over, the release approved
        with contextlib.suppress(Failed):  # a full disk
            if (env := _of_branch(ctx, site, branch)) is not None and env.release is None:
                ctx.ledger.environments.change(env, state="failed")
    with ctx.ledger.atomic():
        if (ctx.repository(site.name).ref(pending.ref) or ZERO) == pending.new:
            ctx.acted_on(site.name, pending.ref, pending.new)
        ctx.ledger.pushes.remove(pending)


def tear_down(ctx: Context, env: Environment, *, actor: str) -> None:
    """Take a preview away: its address, its folder, its builds in line. Its releases stay in the history. Raises Busy
    while its data becomes production's.
    """
    if (row := ctx.ledger.cutovers.one(site=env.site, preview=env.name, state="in_progress")) is not None:
        raise Busy(f"The cutover {row.id} of {env.name} is under way.", "Wait until it has ended.", again=30)
    for open_build in ctx.ledger.builds.where(
        site=env.site, ref=f"refs/heads/{env.branch}", state=("queued", "building")
    ):
        ctx.queue.cancel(open_build.id, f"{env.branch} was removed", own_reason=True)
    lane = ctx.lanes.of(env.site, env.name)
    with (
        lane.data.hold("its removal", Teller(), lambda: False),
        lane.switch.hold("its removal", Teller(), lambda: False),
    ):
        Routes(ctx.home).remove(host(env.site, ctx.server.domain, label=env.label))
        Place(ctx.home, env.site, env.folder).clear()
        slot.end(ctx, env)
        Place(ctx.home, env.site, env.folder).remove()
        database.remove(ctx, env.site, env.name)
        repository = ctx.repository(env.site)
        if live_ref := repository.ref(f"refs/live/{env.folder}"):
            with RefTransaction(repository, [_gone(f"refs/live/{env.folder}", live_ref)]) as refs:
                refs.commit()
        with ctx.ledger.atomic():
            if (live := live_release(ctx, env.site, env.name)) is not None:
                ctx.ledger.releases.change(live, state="superseded", ended_at=clock.now())
            for row in ctx.ledger.cutovers.where(site=env.site, preview=env.name, state=("open", "acked")):
                ctx.ledger.cutovers.change(row, state="canceled", reason="its preview was removed")
                ctx.event("cutover.canceled", actor=actor, site=env.site, env=PRODUCTION, subject=row.id,
                          data={"preview": env.name, "reason": "its preview was removed"})  # fmt: skip
            ctx.ledger.environments.remove(env)
            ctx.event("preview.removed", actor=actor, site=env.site, env=env.name)


def listing(
    ctx: Context, site: Site, kind: str | tuple[str, ...] = "", *, before: str = "", limit: int = -1
) -> list[Environment]:
    """Newest first, all of them or those of a kind; `before` is the name of the last one already seen."""
    kinds = (kind if isinstance(kind, tuple) else (kind,)) if kind else KINDS
    seen = "(created_at, name) < (SELECT created_at, name FROM environments WHERE site = ? AND name = ?)"
    return ctx.ledger.environments.where(
        site=site.name, kind=kinds, order="created_at DESC, name DESC", limit=limit, sql=seen if before else "",
        given=(site.name, before) if before else (),
    )  # fmt: skip


def by_name(
    ctx: Context, site: Site, kind: str | tuple[str, ...], *, after: str = "", limit: int = 50
) -> list[Environment]:
    """Those of a kind in the order of their names, beginning after the name `after`."""
    return ctx.ledger.environments.where(
        site=site.name, kind=kind, order="name", limit=limit, sql="name > ?", given=(after,)
    )


def extend(ctx: Context, actor: Actor, site: Site, branch: str, seconds: int) -> Environment:
    """Let a preview live for `seconds` from now; 0 lets it live as long as its branch."""
    actor.need(Role.DEVELOPER, site.name, "extend previews", branch)
    with ctx.ledger.atomic():
        ctx.event("preview.extended", actor=actor.name, site=site.name, env=branch, data={"seconds": seconds})
        expires = clock.later(seconds) if seconds else None
        return ctx.ledger.environments.change(_preview(ctx, site, branch), expires_at=expires)


def remove(ctx: Context, actor: Actor, site: Site, branch: str) -> None:
    """Take a preview away and keep its branch; the next push to it makes a new one."""
    actor.need(Role.DEVELOPER, site.name, "remove previews", branch)
    tear_down(ctx, _preview(ctx, site, branch), actor=actor.name)


def _build_and_show(
    ctx: Context, site: Site, branch: str, pending: PendingPush, options: Options, teller: Teller
) -> None:
    settings = policy.of_site(site, ctx.repository(site.name))
    own = settings.policy.environment_of(branch)
    shown = None if own else _of_branch(ctx, site, branch)
    name = own or (shown.name if shown else branch)
    commit = ctx.repository(site.name).commit(pending.new)
    kind = "environment" if own else "preview"
    teller.step(f'{kind} {name} of {site.name}: {commit.id[:7]} "{commit.subject}" by {pending.actor}')
    if own is None and (not settings.policy.has_preview(branch) or branch in settings.policy.names):
        return
    if options.skip or _SKIP.search(commit.message):
        teller.detail("not built: " + ("-o skip" if options.skip else "the commit says so"))
        return
    if own is not None:
        bad_commits.say(ctx, site, name, commit.id, teller)
    env = ensure(ctx, site.name, name, branch=branch)
    refuse_if_locked(ctx, env)
    freeze.refuse(ctx, env)
    approval.refuse_waiting(ctx, env, commit.id)
    made = building.ensure(
        ctx, building.Wanted(site, commit, pending.ref, pending.actor, teller, afresh=options.no_cache)
    )
    if ctx.repository(site.name).ref(pending.ref) != pending.new:
        teller.detail("a newer push to the branch came meanwhile, so this build is not shown")
        return
    serving.say_artifact(ctx, made.build, made.reused, teller)

    new = "promote" if made.reused else "deploy"
    approval.require(ctx, env, new, made.build, commit.id, pending.actor)
    preview_data.fill(ctx, env, made.build, pending.actor, teller)

    def still() -> None:
        if own is not None:
            bad_commits.refuse_held(
                ctx, site, name, commit.id, resume=options.resume, actor=pending.actor, at_once=True
            )

    release = switch(
        ctx,
        Plan(
            env=env, kind=new, build=made.build, commit=commit.id,
            subject=commit.subject, actor=pending.actor, reason=options.reason, fresh=made.fresh, still=still,
        ),
        teller,
    )  # fmt: skip
    approval.use(ctx, env, made.build, commit.id, pending.actor)
    if kind == "preview":
        expires = clock.later(settings.preview.ttl) if settings.preview.ttl else None
        ctx.ledger.environments.change(env, release=release.number, state="ready", expires_at=expires)
        if pending.ref != f"refs/heads/{settings.production.branch}":
            teller.detail(f"to go live: merge it into {settings.production.branch} and push that")


def _is_stopped(ctx: Context, site: Site, branch: str) -> bool:
    own = policy.of_site(site, ctx.repository(site.name)).policy.environment_of(branch)
    return bool(ctx.site(site.name).lock) or (own is not None and freeze.holding(ctx, site, own) is not None)


def _deleted(ctx: Context, site: Site, pending: PendingPush, teller: Teller) -> None:
    env = _of_branch(ctx, site, pending.ref.removeprefix("refs/heads/"))
    if env is not None and ctx.repository(site.name).ref(pending.ref) is None:
        tear_down(ctx, env, actor=pending.actor)
        teller.step(f"preview {env.name} of {site.name} is removed")


def _preview(ctx: Context, site: Site, branch: str) -> Environment:
    named = ctx.ledger.environments.get(site.name, branch)
    found = _of_branch(ctx, site, branch) or (named and preview_by_now(ctx, named))
    if found is None or found.kind != "preview":
        raise NotFound(f"{site.name} has no preview of {branch!r}.", f"See: gitdeploy previews {site.name}")
    return found


def _of_branch(ctx: Context, site: Site, branch: str) -> Environment | None:
    known = ctx.ledger.environments.where(site=site.name, branch=branch, kind=("preview", "named"))
    return next((one for env in known if (one := preview_by_now(ctx, env)).kind == "preview"), None)


def _gone(ref: str, old: str) -> Update:
    return Update(old, ZERO, ref)
