"""What served when, and what a name like `r41`, `previous`, a tag or a commit stands for."""

from __future__ import annotations

from gitdeploy.domain import release as rules
from gitdeploy.domain.build import Build
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.release import Release
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.domain.target import ByBuild, ByName, ByNumber, Live, Previous, Target
from gitdeploy.errors import Invalid, NotFound
from gitdeploy.git.repository import CommitInfo
from gitdeploy.service import environment as environments
from gitdeploy.service.context import Context
from gitdeploy.service.journal import live_release


def listing(
    ctx: Context, site: Site, *, env: str = "", limit: int = 50, before: int = 1 << 40, all: bool = False
) -> list[Release]:
    """What served, newest first; with `all` also what failed before it served."""
    where = {"env": environment_of(ctx, site, env).name} if env else {}
    test = "number < CAST(? AS INTEGER)" + ("" if all else " AND live_at IS NOT NULL")
    return ctx.ledger.releases.where(
        site=site.name, order="number DESC", limit=limit, sql=test, given=(str(before),), **where
    )


def live_at(ctx: Context, site: Site, env: str, moment: str = "") -> Release | None:
    """What `env` serves now, or served at `moment` (UTC ISO 8601)."""
    name = environment_of(ctx, site, env).name
    if not moment:
        return live_release(ctx, site.name, name)
    served = ctx.ledger.releases.where(site=site.name, env=name, sql="live_at IS NOT NULL")
    at = [
        one
        for one in served
        if (one.live_at or "") <= moment and (one.ended_at is None or one.ended_at > moment)
    ]
    return max(at, key=lambda one: one.number, default=None)


def find(ctx: Context, site: Site, env: str, target: Target) -> Release:
    """The release of `env` that `target` names; NotFound with what there is."""
    served = [one for one in ctx.ledger.releases.where(site=site.name, env=env) if one.served]
    served.sort(key=lambda one: one.number, reverse=True)
    match target:
        case Live():
            candidates = [one for one in served if one.state == "live"]
        case Previous():
            found = rules.previous(served)
            if found is None:
                raise NotFound(
                    f"{env} of {site.name} has no earlier good release to go back to.",
                    f"See: gitdeploy releases {site.name}",
                )
            return found
        case ByNumber(number):
            candidates = [one for one in served if one.number == number]
        case ByBuild(id):
            candidates = [one for one in served if one.build == id]
        case ByName(name):
            tag = ctx.repository(site.name).ref(f"refs/tags/{name}")
            wanted = ctx.repository(site.name).commit(tag).id if tag else target.commit_prefix
            candidates = [one for one in served if wanted and one.commit.startswith(wanted)]
    if not candidates:
        newest = ", ".join(one.name for one in served[:5]) or "none yet"
        raise NotFound(
            f"{target} is not a release of {env} of {site.name}; the newest are: {newest}.",
            f"See: gitdeploy releases {site.name}",
        )
    if len({one.commit for one in candidates}) > 1:
        raise Invalid(f"{target} names several commits.", "Give more digits, or the release number.")
    return candidates[0]


def named(ctx: Context, site: Site, env: str, target: Target) -> tuple[CommitInfo, Build | None]:
    """The commit that `target` names, and the build when it names one."""
    repository = ctx.repository(site.name)
    match target:
        case ByBuild(id):
            found = ctx.ledger.builds.one(site=site.name, id=id)
            if found is None or found.state != "built":
                raise NotFound(
                    f"{id} is not a finished build of {site.name}.", f"See: gitdeploy builds {site.name}"
                )
            return repository.commit(found.commit), found
        case ByNumber(number):
            one = ctx.ledger.releases.one(site=site.name, number=number)
            if one is None:
                raise NotFound(
                    f"{site.name} has no release r{number}.", f"See: gitdeploy releases {site.name}"
                )
            return repository.commit(one.commit), ctx.ledger.builds.get(one.build)
        case ByName(name):
            for prefix in ("refs/heads/", "refs/tags/"):
                if found_ref := repository.ref(prefix + name):
                    return repository.commit(found_ref), None
            commits = repository.find_commits(target.commit_prefix) if target.commit_prefix else []
            if len(commits) > 1:
                raise Invalid(f"{name} names several commits.", "Give more digits.")
            if commits:
                return repository.commit(commits[0]), None
            raise NotFound(f"{site.name} has no build, branch, tag or commit {name!r}.", "Push it first.")
        case Live() | Previous():
            served = find(ctx, site, env, target)
            return repository.commit(served.commit), ctx.ledger.builds.get(served.build)


def environment_of(ctx: Context, site: Site, name: str) -> Environment:
    """By name (`production`, `staging`), branch or slug; production always exists."""
    if name in ("", PRODUCTION):
        return environments.ensure(ctx, site.name, PRODUCTION, branch="")
    if (found := ctx.ledger.environments.get(site.name, name)) is not None:
        return environments.named_by_now(ctx, found)
    for found in ctx.ledger.environments.where(site=site.name):
        if name in (found.branch, found.folder):
            return found
    known = ", ".join(one.name for one in ctx.ledger.environments.where(site=site.name, order="name"))
    raise NotFound(f"{site.name} has no environment {name!r}; there is: {known or PRODUCTION}.")


def pin(ctx: Context, actor: Actor, site: Site, target: Target, pinned: bool) -> Release:
    """Keep a release's bytes whatever retention says, or let them go again."""
    actor.need(Role.MAINTAINER, site.name, "pin releases")
    if not isinstance(target, ByNumber):
        raise Invalid("A pin needs a release number.", "Such as r41.")
    found = ctx.ledger.releases.one(site=site.name, number=target.number)
    if found is None:
        raise NotFound(f"{site.name} has no release {target}.", f"See: gitdeploy releases {site.name}")
    with ctx.ledger.atomic():
        ctx.event("release.pinned" if pinned else "release.unpinned", actor=actor.name, site=site.name,
                  env=found.env, subject=found.name)  # fmt: skip
        return ctx.ledger.releases.change(found, pinned=pinned)


def undo(release: Release) -> str:
    """The push that brings this release back once something else is live."""
    option = "" if release.env == PRODUCTION else f" -o env={release.env}"
    return f"git push{option} managed HEAD:rollback/{release.name}"
