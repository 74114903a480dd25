"""What was rolled back is remembered: a push that brings it back is told so, and held where the site wants that."""

from __future__ import annotations

from gitdeploy.domain.release import BAD, Release
from gitdeploy.domain.revert import REVERTS, reverted
from gitdeploy.domain.site import Site
from gitdeploy.errors import Refused
from gitdeploy.service import policy
from gitdeploy.service.context import Context
from gitdeploy.service.journal import live_release
from gitdeploy.service.teller import Teller


def returning(ctx: Context, site: Site, env: str, commit: str) -> list[Release]:
    """The rolled-back releases that `commit` would bring back to `env`, newest first: it contains them, what is
    live does not, and nothing in it reverts any commit that they came with.

    Once it is live with them it is live by decision, and is not asked about again.
    """
    live = live_release(ctx, site.name, env)
    marked = ctx.ledger.releases.where(site=site.name, env=env, mark=BAD, order="number DESC")
    if live is None or not marked:
        return []
    repository = ctx.repository(site.name)
    brought = set(repository.commits(commit, without=[live.commit]))
    found: dict[str, Release] = {}
    for one in marked:
        if one.commit in brought and one.commit not in found:
            answers = repository.messages(commit, without=[live.commit, one.commit], saying=REVERTS)
            came_with = repository.commits(one.commit, without=[live.commit])
            if reverted(answers).isdisjoint(came_with):
                found[one.commit] = one
    return list(found.values())


def say(ctx: Context, site: Site, env: str, commit: str, teller: Teller) -> None:
    """Loudly, to whoever is about to bring something back."""
    found = returning(ctx, site, env, commit)
    for one in found:
        teller.problem(sentence(ctx, one))
    if found:
        teller.problem(f"Nothing in it reverts that. To take it out again: git revert {found[0].commit[:7]}")


def refuse_held(
    ctx: Context, site: Site, env: str, commit: str, *, resume: bool, actor: str, at_once: bool = False
) -> None:
    """Raises Refused when `commit` brings something back and the environment holds such pushes. `at_once`: it is
    about to go live, and that somebody let it is written down.
    """
    settings = policy.of_site(ctx.site(site.name), ctx.repository(site.name))
    own = settings.of(env)
    if own is None or not own.hold_after_rollback:
        return
    found = returning(ctx, site, env, commit)
    if found and not resume:
        raise Refused(
            sentence(ctx, found[0]),
            f"Revert it (git revert {found[0].commit[:7]}) and push again; or let it through: push -o resume",
        )
    if found and at_once:
        told = {"commit": commit, "brings_back": [one.name for one in found]}
        ctx.event("hold.resumed", actor=actor, site=site.name, env=env, subject=found[0].name, data=told)


def rolled_back_by(ctx: Context, bad: Release) -> Release | None:
    """The rollback that ended a release."""
    return ctx.ledger.releases.one(
        site=bad.site, env=bad.env, kind="rollback", order="number",
        sql=f"number > {bad.number} AND live_at IS NOT NULL",
    )  # fmt: skip


def sentence(ctx: Context, bad: Release) -> str:
    """What bringing a rolled-back release back means."""
    by = rolled_back_by(ctx, bad)
    who = f" by {by.actor}" if by else ""
    why = f': "{by.reason}"' if by and by.reason else ""
    return f'This brings back {bad.commit[:7]} "{bad.subject}" ({bad.name}), which was rolled back{who}{why}.'
