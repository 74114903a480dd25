"""Approvals: asked for when something is about to go live where `approvals` says so, given by other maintainers."""

from __future__ import annotations

import json

from gitdeploy.domain.approval import Approval, Vote, sentence
from gitdeploy.domain.build import Build
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.names import build_label
from gitdeploy.domain.release import FORWARD
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.errors import Invalid, NotFound, Refused
from gitdeploy.git import signature
from gitdeploy.service import access, policy
from gitdeploy.service.context import Context
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock, ids


class Missing(Refused):
    """It goes live once somebody else has approved it."""


def require(ctx: Context, env: Environment, kind: str, build: Build, commit: str, actor: str) -> None:
    """Raises Missing unless enough people have approved these bytes of this commit; asks for it then. What brings
    nothing new needs nobody: a rollback always may go.
    """
    least = needed(ctx, env.site, env.name)
    if kind not in FORWARD or not least:
        return
    row = _open(ctx, env, commit, build.artifact or "") or _ask(ctx, env, build, commit, actor)
    _refuse_unless(ctx, row, least)


def refuse_waiting(ctx: Context, env: Environment, commit: str) -> None:
    """Raises Missing while it is known that a commit waits for approvals: before it is looked for again."""
    row = ctx.ledger.approvals.one(site=env.site, env=env.name, commit=commit, state="open")
    if row is not None and (least := needed(ctx, env.site, env.name)):
        _refuse_unless(ctx, row, least)


def say(ctx: Context, env: Environment, kind: str, build: Build, commit: str, teller: Teller) -> None:
    """To whoever only looks: what is missing."""
    least = needed(ctx, env.site, env.name)
    if kind in FORWARD and least:
        row = _open(ctx, env, commit, build.artifact or "")
        counted = len(_counted(ctx, row)) if row else 0
        teller.detail(f"approvals: {counted} of {least}" + (f" ({row.id})" if row else ""))


def use(ctx: Context, env: Environment, build: Build, commit: str, actor: str) -> None:
    """These bytes are live; what goes live the next time is approved again."""
    row = _open(ctx, env, commit, build.artifact or "")
    if row is not None:
        _end(ctx, row, "used", actor)


def vote(ctx: Context, actor: Actor, row: Approval, teller: Teller, *, signed: bool = False) -> Approval:
    """Approve. Raises Refused for one's own work and below maintainer, Busy when it is over."""
    actor.need(Role.MAINTAINER, row.site, f"approve what goes live in {row.env}", row.env)
    with ctx.ledger.atomic():
        row = _by_id(ctx, row.id) or row
        votes = row.with_vote(Vote(actor.name, clock.now(), actor.local, signed))
        row = ctx.ledger.approvals.change(row, votes=votes)
        ctx.event("approval.approved", actor=actor.name, site=row.site, env=row.env, subject=row.id,
                  data={"commit": row.commit, "artifact": row.artifact, "signed": signed})  # fmt: skip
    left = needed(ctx, row.site, row.env) - len(_counted(ctx, row))
    teller.done(f"{row.id} is approved by {actor.name}")
    what = f"{row.commit[:7]} may go live in {row.env}: what {row.actor} pushed goes through now"
    teller.detail(f"it needs {left} more" if left > 0 else what)
    return row


def vote_by_tag(ctx: Context, site: Site, row: Approval, pushed: str, teller: Teller) -> bool:
    """Whether what was pushed is a signed tag, which is an approval by whoever signed it, whoever brings it. Raises
    Refused when its signature is of nobody known here, or is not of this request.
    """
    tag = ctx.repository(site.name).tag(pushed)
    if tag is None or not tag.signature:
        return False
    keys = [(one.actor, one.kind, one.body) for one in ctx.ledger.keys.where(order="id")]
    signer = signature.signer(tag.payload, tag.signature, keys)
    if signer is None:
        raise Refused(
            f"The signature of the tag {tag.name} is of no key that is known here.",
            "Sign with an SSH key (git config gpg.format ssh) that was added: gitdeploy key add ACTOR FILE",
        )
    if tag.name != f"approve/{row.id}" or tag.commit != row.commit:
        raise Refused(
            f"The signed tag is {tag.name} of {tag.commit[:7]}, and {row.id} is for {row.commit[:7]}.",
            f"Sign: git tag -s approve/{row.id} {row.commit[:12]}",
        )
    vote(ctx, access.by_name(ctx, signer), row, teller, signed=True)
    return True


def reject(ctx: Context, actor: Actor, row: Approval, reason: str) -> Approval:
    """Say no; whoever asked may take it back so. Raises Invalid without a reason."""
    role = Role.DEVELOPER if actor.name == row.actor else Role.MAINTAINER
    actor.need(role, row.site, f"reject {row.id}", row.env)
    if not reason.strip():
        raise Invalid("It is rejected with a reason.", "Say why: --reason, or by git -o reason=…")
    return _end(ctx, row, "rejected", actor.name, reason.strip())


def find(ctx: Context, site: Site, id: str) -> Approval:
    """Raises NotFound."""
    row = _by_id(ctx, id)
    if row is None or row.site != site.name:
        raise NotFound(f"{site.name} has no approval {id[:40]!r}.", f"See: gitdeploy approvals {site.name}")
    return row


def find_for(ctx: Context, actor: Actor, id: str) -> Approval:
    """By its id alone; to those who may not see its site it does not exist. Raises NotFound."""
    row = _by_id(ctx, id)
    if row is None or actor.role(row.site) is None:
        raise NotFound(f"There is no approval {id[:40]!r}.", "See: gitdeploy approvals SITE")
    return row


def listing(
    ctx: Context, site: Site, *, all: bool = False, before: str = "~", limit: int = -1
) -> list[Approval]:
    """Those that are open, newest first; with `all` those that ended too. `before` is the id of the last one already
    seen.
    """
    states = ("open", "used", "rejected") if all else ("open",)
    return ctx.ledger.approvals.where(
        site=site.name, state=states, order="id DESC", limit=limit, sql="id < ?", given=(before,)
    )


def needed(ctx: Context, site: str, env: str) -> int:
    """How many other people have to approve what goes live in `env`; 0 for a preview."""
    own = policy.of_site(ctx.site(site), ctx.repository(site)).of(env)
    return own.approvals if own is not None else 0


# Private


def _by_id(ctx: Context, id: str) -> Approval | None:
    return ctx.ledger.approvals.get(id)


def _open(ctx: Context, env: Environment, commit: str, artifact: str) -> Approval | None:
    return ctx.ledger.approvals.one(
        site=env.site, env=env.name, commit=commit, artifact=artifact, state="open"
    )


def _ask(ctx: Context, env: Environment, build: Build, commit: str, actor: str) -> Approval:
    built = ctx.ledger.builds.where(site=env.site, commit=commit, artifact=build.artifact)
    row = Approval(
        id=ids.new("apr"), site=env.site, env=env.name, commit=commit, artifact=build.artifact or "",
        build=build.id, subject=build.subject, actor=actor,
        authors=json.dumps(sorted({one.actor for one in built})), created_at=clock.now(),
    )  # fmt: skip
    with ctx.ledger.atomic():
        ctx.event("approval.requested", actor=actor, site=env.site, env=env.name, subject=row.id,
                  data={"commit": commit, "artifact": row.artifact, "build": build.id})  # fmt: skip
        return ctx.ledger.approvals.add(row)


def _refuse_unless(ctx: Context, row: Approval, least: int) -> None:
    counted = _counted(ctx, row)
    if len(counted) < least:
        raise Missing(
            sentence(row, least, counted),
            f"Another maintainer looks at {ctx.url(row.site, build_label(row.build))} and pushes "
            f"HEAD:approve/{row.id} (gitdeploy approve {row.id}); then do this again.",
        )


def _counted(ctx: Context, row: Approval) -> list[Vote]:
    """The votes of those who still have the role."""
    return [one for one in row.cast if one.local or _may(access.by_name(ctx, one.actor), row)]


def _may(actor: Actor, row: Approval) -> bool:
    held = actor.role(row.site, row.env)
    return held is not None and held >= Role.MAINTAINER


def _end(ctx: Context, row: Approval, state: str, actor: str, reason: str = "") -> Approval:
    with ctx.ledger.atomic():
        row = _by_id(ctx, row.id) or row
        row.check_open()
        ctx.event(f"approval.{state}", actor=actor, site=row.site, env=row.env, subject=row.id,
                  data={"commit": row.commit, "reason": reason})  # fmt: skip
        return ctx.ledger.approvals.change(
            row, state=state, ended_at=clock.now(), ended_by=actor, reason=reason
        )
