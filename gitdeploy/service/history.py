"""What served when, and what a name like `r41`, `previous`, a tag or a commit stands for."""

from __future__ import annotations

from collections.abc import Iterable

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

_RECENT = 100
"""How many releases are read first for `previous`: mostly it is among them."""


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
    last = ctx.ledger.releases.one(
        site=site.name, env=name, order="live_at DESC, number DESC", sql="live_at <= ?", given=(moment,)
    )
    return last if last and (last.ended_at is None or last.ended_at > moment) else None


def numbered(ctx: Context, site: Site, name: str) -> Release:
    """The release `r41` of a site, in whatever environment it is. Raises NotFound."""
    number = name.removeprefix("r")
    found = ctx.ledger.releases.one(site=site.name, number=int(number)) if number.isdecimal() else None
    if found is None:
        raise NotFound(f"{site.name} has no release {name[:40]!r}.", f"See: gitdeploy releases {site.name}")
    return found


def shown_on(ctx: Context, site: Site, artifact: str, *, but: str) -> list[Environment]:
    """The environments other than `but` that serve an artifact now."""
    live = ctx.ledger.releases.where(
        state="live", site=site.name, artifact=artifact, order="number DESC", limit=5
    )
    names = tuple(one.env for one in live if one.env != but)
    return ctx.ledger.environments.where(site=site.name, name=names) if names else []


def live_in(ctx: Context, site: Site, envs: Iterable[str]) -> list[Release]:
    """What each of these environments serves now."""
    names = tuple(envs)
    return ctx.ledger.releases.where(state="live", site=site.name, env=names) if names else []


def previous(ctx: Context, site: Site, env: str) -> Release | None:
    """What `rollback/previous` goes to."""
    newest = _served(ctx, site, env, limit=_RECENT)
    found = rules.previous(newest) if rules.is_whole(newest) else None
    return found or rules.previous(_served(ctx, site, env))


def find(ctx: Context, site: Site, env: str, target: Target) -> Release:
    """The release of `env` that `target` names; NotFound with what there is."""
    match target:
        case Live():
            candidates = _served(ctx, site, env, state="live")
        case Previous():
            found = previous(ctx, site, env)
            if found is None:
                raise NotFound(
                    f"{env} of {site.name} has no earlier good release to go back to.",
                    f"See: gitdeploy releases {site.name}",
                )
            return found
        case ByNumber(number):
            candidates = _served(ctx, site, env, number=number)
        case ByBuild(id):
            candidates = _served(ctx, site, env, build=id)
        case ByName(name):
            tag = ctx.repository(site.name).ref(f"refs/tags/{name}")
            wanted = ctx.repository(site.name).commit(tag).id if tag else target.commit_prefix
            candidates = _served(ctx, site, env, begins=wanted) if wanted else []
    if not candidates:
        known = ", ".join(one.name for one in _served(ctx, site, env, limit=5)) or "none yet"
        raise NotFound(
            f"{target} is not a release of {env} of {site.name}; the newest are: {known}.",
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


# Private


def _served(
    ctx: Context, site: Site, env: str, *, limit: int = -1, begins: str = "", **where: object
) -> list[Release]:
    """What was live in `env`, newest first; `begins` is the beginning of its commit."""
    test = "live_at IS NOT NULL" + (' AND substr("commit", 1, length(?)) = ?' if begins else "")
    return ctx.ledger.releases.where(
        site=site.name, env=env, order="number DESC", limit=limit, sql=test,
        given=(begins, begins) if begins else (), **where,
    )  # fmt: skip
