"""What one push does, at the three moments git asks: before it is accepted, when refs are to move, and after.

check    pre-receive: refuse cheaply, while the new objects can still be thrown away
decide   proc-receive: answer for every ref; gated branches and command refs are carried out here
follow   post-receive: build what git has accepted
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from gitdeploy.domain import options as push_options
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.options import Options
from gitdeploy.domain.push import PendingPush
from gitdeploy.domain.refs import Branches, Built, Denied, Gated, Meaning, Order, Tag, Update, meaning
from gitdeploy.domain.role import SOMEWHERE, Actor, Role
from gitdeploy.domain.settings import Settings
from gitdeploy.domain.site import Site
from gitdeploy.errors import Busy, GitdeployError, Invalid, Refused
from gitdeploy.git.receive import Answer
from gitdeploy.git.repository import Repository
from gitdeploy.service import (
    bad_commits,
    environment,
    freeze,
    incident,
    order,
    policy,
    release,
    schedule,
    trace,
)
from gitdeploy.service.context import Context
from gitdeploy.service.mishap import plainly
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock, ids

log = logging.getLogger("gitdeploy.push")


@dataclass(frozen=True)
class Push:
    """`repository` sees the quarantine during `check`; `shallow` are the commits at which the pusher's history
    ends; `gone` says whether the pusher has hung up.
    """

    site: Site
    actor: Actor
    repository: Repository
    options: Sequence[str]
    teller: Teller
    shallow: tuple[str, ...] = ()
    gone: Callable[[], bool] = field(default=lambda: False)


def check(ctx: Context, push: Push, updates: tuple[Update, ...]) -> None:
    """Raises what refuses the whole push; nothing has been kept then."""
    for update in updates:
        log.info("push of %s to %s by %s: %s to %s", update.ref, push.site.name, push.actor.name,
                 update.old[:12], update.new[:12])  # fmt: skip
    try:
        _check(ctx, push, updates)
    except GitdeployError as error:
        ctx.pushes["refused"] += len(updates)
        log.info("push to %s is refused: %s", push.site.name, error.message)
        _say_id(push)
        raise


def _check(ctx: Context, push: Push, updates: tuple[Update, ...]) -> None:
    push.actor.need(Role.DEVELOPER, push.site.name, "push to it", SOMEWHERE)
    ctx.lead.need()
    push_options.parse(push.options)
    if not all(push.repository.has_history_of(commit) for commit in push.shallow):
        raise Refused(
            "This push comes from a shallow clone, whose history has an end that the server lacks.",
            "Run: git fetch --unshallow, then push again.",
        )
    _need_room(ctx)
    for update in updates:
        _refuse_unreadable_names(update.ref)
        if isinstance(meaning(update, Branches()), Gated | Built) and not update.deletes:
            policy.of_commit(push.repository, update.new)


def decide(ctx: Context, push: Push, updates: tuple[Update, ...], *, atomic: bool) -> list[Answer]:
    """One answer a ref. With `atomic` every ref is checked before the first is carried out."""
    answers = _decide(ctx, push, updates, atomic)
    ctx.pushes.update("refused" if one.reason else "accepted" for one in answers)
    for one in answers:
        log.info(
            "%s of %s is %s", one.ref, push.site.name, f"refused: {one.reason}" if one.reason else "accepted"
        )
    if any(one.reason for one in answers):
        _say_id(push)
    return answers


def _say_id(push: Push) -> None:
    """For whoever asks what happened: under it all is in the server's log."""
    push.teller.detail(f"in the server's log: {trace.current()}")


def _decide(ctx: Context, push: Push, updates: tuple[Update, ...], atomic: bool) -> list[Answer]:
    options = push_options.parse(push.options)
    try:
        settings = policy.of_site(push.site, push.repository, updates)
        asked = [(update, meaning(update, policy.branches(settings))) for update in updates]
    except GitdeployError as error:
        push.teller.problem(error.message, error.hint)
        return [Answer(update.ref, reason=error.message) for update in updates]
    if atomic:
        return _decide_together(ctx, push, options, settings, asked)
    return [_answer(ctx, push, options, settings, update, what) for update, what in asked]


def follow(ctx: Context, push: Push, updates: Iterable[Update]) -> list[threading.Thread]:
    """Start building what was accepted. The work goes on when the pusher leaves; joining the threads waits."""
    started = []
    for update in updates:
        incident.pushed(ctx, push.site, update, push.teller)
        for pending in ctx.ledger.pushes.where(site=push.site.name, ref=update.ref, new=update.new):
            started.append(carry_on(ctx, pending, push.teller))
    return started


def carry_on(ctx: Context, pending: PendingPush, teller: Teller) -> threading.Thread:
    """Also after a restart it is the same push."""
    with trace.of(pending.id):
        return ctx.queue.track(
            lambda: environment.refresh(ctx, pending, teller), f"{pending.id} {pending.ref}"
        )


def _answer(
    ctx: Context, push: Push, options: Options, settings: Settings, update: Update, what: Meaning
) -> Answer:
    try:
        _allow(ctx, push, options, settings, update, what)
        return _carry_out(ctx, push, options, update, what, also=())
    except Exception as error:
        told = plainly(error, f"push of {update.ref} to {push.site.name}")
        push.teller.problem(told.message, told.hint)
        return Answer(update.ref, reason=told.message)


def _decide_together(
    ctx: Context, push: Push, options: Options, settings: Settings, asked: list[tuple[Update, Meaning]]
) -> list[Answer]:
    """All or nothing: at most one ref may need a switch, and the others move in the very same transaction."""
    acting = [(update, what) for update, what in asked if isinstance(what, Gated | Order)]
    remembered: list[PendingPush] = []
    try:
        for update, what in asked:
            _allow(ctx, push, options, settings, update, what)
        if len(acting) > 1:
            raise Refused(
                "An --atomic push can change what one environment serves, not several.",
                f"Push {acting[1][0].ref} on its own.",
            )
        if acting:
            update, what = acting[0]
            others = tuple(one for one, _ in asked if one is not update)
            for one, its in asked:
                if one is not update:
                    remembered += _remember(ctx, push, options, one, its)
            done = _carry_out(ctx, push, options, update, what, also=others)
            return [done if one is update else Answer(one.ref) for one, _ in asked]
        return [_carry_out(ctx, push, options, update, what, also=()) for update, what in asked]
    except Exception as error:
        for pending in remembered:
            ctx.ledger.pushes.remove(pending)
        told = plainly(error, f"atomic push to {push.site.name}")
        push.teller.problem(told.message, told.hint)
        return [Answer(one.ref, reason=f"atomic push: {told.message}") for one, _ in asked]


def _allow(
    ctx: Context, push: Push, options: Options, settings: Settings, update: Update, what: Meaning
) -> None:
    """Every cheap reason to refuse one ref."""
    _refuse_options_of_clone(options, what)
    site, actor = push.site.name, push.actor
    match what:
        case Denied(reason):
            raise reason
        case Gated(env, branch):
            actor.need(Role.MAINTAINER, site, f"change {env}", env)
            _forward_only(push, update, branch, env)
            _refuse_options(options, env)
            freeze.allow(ctx, actor, push.site, env, options)
            _refuse_held(ctx, push, options, update, env)
        case Built(branch, str() as env):
            actor.need(Role.MAINTAINER, site, f"change {env}", env)
            _forward_only(push, update, branch, env)
            _refuse_held(ctx, push, options, update, env)
        case Built(branch, None):
            actor.need(Role.DEVELOPER, site, f"push {branch}", branch)
            _refuse_names_of_environments(push, settings, update, branch)
            if not settings.policy.has_preview(branch) and not update.deletes:
                push.teller.detail(f"{branch} gets no preview: [preview] branches does not name it")
        case Tag(name):
            actor.need(Role.DEVELOPER, site, f"push the tag {name}")
        case Order(verb, target):
            order.allow(ctx, actor, push.site, verb, target, options)
    if push.site.lock and isinstance(what, Gated):
        raise Busy(f"{site} is locked by {push.site.lock}.", f"Wait for: gitdeploy unlock {site}")


def _carry_out(
    ctx: Context, push: Push, options: Options, update: Update, what: Meaning, *, also: tuple[Update, ...]
) -> Answer:
    match what:
        case Gated() | Order() if options.at:
            return _schedule(ctx, push, options, update, what, also)
        case Gated(env, _):
            release.deploy(
                ctx, push.actor, push.site, env, update, options, push.teller, push.gone, also=also
            )
            return Answer(update.ref)
        case Order(verb, target):
            if also:
                raise Refused(
                    f"{verb}/{target} cannot be part of an --atomic push.", "Push the command on its own."
                )
            moved = order.carry_out(
                ctx, push.actor, push.site, verb, target, options, push.teller, push.gone, pushed=update.new
            )
            return Answer(update.ref, moved=moved)
        case _:
            if options.at:
                raise Invalid(
                    "Only what changes an environment can wait for its hour.", "Push it without -o at."
                )
            if options.rehearse or options.rehearsal:
                raise Invalid(
                    "Only what goes live within the push is rehearsed: a gated branch, and orders.",
                    "Push without -o rehearse and -o rehearsal.",
                )
            if options.override_freeze:
                raise Invalid(
                    "Only what goes live within the push goes through a freeze: a gated branch, and orders.",
                    "Push without -o override-freeze.",
                )
            if options.dry_run:
                raise release.DryRun(release.DRY_RUN)
            _remember(ctx, push, options, update, what)
            return Answer(update.ref, fall_through=True)


def _schedule(
    ctx: Context, push: Push, options: Options, update: Update, what: Gated | Order, also: tuple[Update, ...]
) -> Answer:
    """Built and checked now, to go live later."""
    if also:
        raise Refused("What waits for its hour cannot be part of an --atomic push.", "Push it on its own.")
    if isinstance(what, Order):
        order.file(ctx, push.actor, push.site, what.verb, what.target, options, push.teller, push.gone)
        return Answer(update.ref)
    now = replace(options, dry_run=True)
    with contextlib.suppress(release.DryRun):
        release.deploy(ctx, push.actor, push.site, what.environment, update, now, push.teller, push.gone)
    if options.dry_run:
        raise release.DryRun(release.DRY_RUN)
    filed = schedule.file(
        ctx,
        push.actor,
        push.site,
        "push",
        what.branch,
        options,
        push.teller,
        env=what.environment,
        update=update,
    )
    return Answer(update.ref, moved=schedule.answer(filed))


def _remember(ctx: Context, push: Push, options: Options, update: Update, what: Meaning) -> list[PendingPush]:
    """Write down what git is about to accept, so that a crash before post-receive loses nothing."""
    if not isinstance(what, Built):
        return []
    pending = PendingPush(
        id=trace.current() or ids.new("psh"), ref=update.ref, site=push.site.name, old=update.old, new=update.new,
        actor=push.actor.name, options=json.dumps(options.as_list()), created_at=clock.now(),
    )  # fmt: skip
    with ctx.ledger.atomic():
        for stale in ctx.ledger.pushes.where(site=push.site.name, ref=update.ref, new=update.new):
            ctx.ledger.pushes.remove(stale)
        ctx.ledger.pushes.add(pending)
    return [pending]


def _forward_only(push: Push, update: Update, branch: str, env: str) -> None:
    back = "push HEAD:rollback/previous" if env == PRODUCTION else f"push -o env={env} HEAD:rollback/previous"
    if update.deletes:
        raise Refused(f"{branch} is what {env} serves and cannot be deleted.", f"To go back, {back}.")
    if not update.creates and not push.repository.is_ancestor(update.old, update.new):
        raise Refused(
            f"{branch} only moves forward, and {update.new[:7]} does not descend from {update.old[:7]}.",
            f"To go back, {back}; to keep your change, fetch, rebase onto {branch} and push again.",
        )


def _refuse_held(ctx: Context, push: Push, options: Options, update: Update, env: str) -> None:
    bad_commits.refuse_held(ctx, push.site, env, update.new, resume=options.resume, actor=push.actor.name)


def _refuse_names_of_environments(push: Push, settings: Settings, update: Update, branch: str) -> None:
    """A preview goes by its branch's name, so no branch may have the name of an environment it is not served in."""
    served = {PRODUCTION: settings.production, **settings.environments}.get(branch)
    if served is not None and not update.deletes:
        raise Refused(
            f"{branch} is an environment of {push.site.name}, which is served from the branch {served.branch}.",
            f"Push HEAD:{served.branch}, or choose another name.",
        )


def _refuse_options(options: Options, env: str) -> None:
    for flag in ("skip", "detach"):
        if getattr(options, flag):
            raise Invalid(
                f"-o {flag} contradicts the gate: the branch of {env} moves only once its release is live.",
                f"Push without it, or set gate = false for {env} in gitdeploy.toml.",
            )


def _refuse_options_of_clone(options: Options, what: Meaning) -> None:
    for name, value in (("only", options.only), ("overwrite", options.overwrite)):
        if value and not (isinstance(what, Order) and what.verb == "clone"):
            raise Invalid(f"-o {name} is for clone/<from>/<to> alone.", f"Push without -o {name}.")


def _refuse_unreadable_names(ref: str) -> None:
    try:
        ref.encode()
    except UnicodeEncodeError:
        shown = ref.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        raise Refused(f"The name {shown} is not UTF-8.", "Rename the branch or tag.") from None


def _need_room(ctx: Context) -> None:
    usage = shutil.disk_usage(ctx.home.root)
    free = 100 * usage.free / usage.total
    if free < ctx.server.min_free:
        raise Refused(
            f"The server's disk is {100 - free:.0f} % full, and pushes need {ctx.server.min_free:g} % free.",
            "Ask its operator to free space: gitdeploy gc, or a larger disk. What is live stays live.",
        )
