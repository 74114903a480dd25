"""Command refs: `rollback/r41`, `promote/<build>`, `redeploy/r41`, `cancel/<build>`, as pushed by git."""

from __future__ import annotations

from collections.abc import Callable

from gitdeploy.domain import target as targets
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.options import Options
from gitdeploy.domain.refs import ZERO as NOTHING
from gitdeploy.domain.refs import Update
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.errors import Invalid
from gitdeploy.service import build, history, release
from gitdeploy.service.context import Context
from gitdeploy.service.teller import Teller


def allow(ctx: Context, actor: Actor, site: Site, verb: str, target: str, options: Options) -> None:
    """Every cheap reason to refuse an order."""
    need = Role.DEVELOPER if verb == "cancel" else Role.MAINTAINER
    actor.need(need, site.name, verb if verb == "cancel" else f"{verb} {options.env or PRODUCTION}")
    if options.detach or options.skip:
        raise Invalid(f"{verb}/{target} is carried out at once.", "Push it without -o detach and -o skip.")
    if options.config and verb != "rollback":
        raise Invalid("Only a rollback chooses its configuration.", "Push without -o config.")
    if verb != "cancel":
        targets.parse(target)
        history.environment_of(ctx, site, options.env)


def carry_out(
    ctx: Context,
    actor: Actor,
    site: Site,
    verb: str,
    target: str,
    options: Options,
    teller: Teller,
    gone: Callable[[], bool],
) -> Update | None:
    """Returns the ref that moved in the end, which the client shows; None when none did."""
    stop = gone if options.cancel_on_hangup else (lambda: False)
    ask = release.Ask(
        actor=actor.name, site=site, env=options.env or PRODUCTION, reason=options.reason,
        dry_run=options.dry_run, no_cache=options.no_cache, config=options.config,
        teller=teller, gone=stop,
    )  # fmt: skip
    match verb:
        case "rollback":
            made = release.rollback(ctx, ask, targets.parse(target))
        case "promote":
            made = release.promote(ctx, ask, targets.parse(target))
        case "redeploy":
            made = release.redeploy(ctx, ask, targets.parse(target))
        case _:
            build.cancel(ctx, actor, site, target, teller)
            return None
    return Update(NOTHING, made.commit, f"refs/releases/{made.name}")
