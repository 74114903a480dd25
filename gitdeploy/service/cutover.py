"""Requests for a cutover: asked for by a developer, agreed to or not by an operator. `cutover_run` does it."""

from __future__ import annotations

from typing import Any

from gitdeploy.domain.cutover import OPEN, Cutover, check_limits, check_move
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.role import Actor, Role
from gitdeploy.domain.site import Site
from gitdeploy.errors import Busy, Invalid, NotFound, Refused
from gitdeploy.service import cutover_plan, policy, rehearse
from gitdeploy.service.context import Context
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock, ids


def request(
    ctx: Context, actor: Actor, site: Site, preview: str, teller: Teller, *, note: str = "", ticket: str = ""
) -> Cutover:
    """Ask that a preview's data become production's. Raises Refused unless the preview is ready, has time left and
    keeps what production keeps; Busy while another request for it is open.
    """
    actor.need(Role.DEVELOPER, site.name, "request a cutover")
    check_limits(note, ticket)
    both = cutover_plan.sides(ctx, site, preview)
    name = both.preview.name
    with ctx.ledger.atomic():
        if (other := open_for(ctx, site, name)) is not None:
            raise Busy(
                f"{other.id} for the preview {name} is {other.state} already.",
                f"See: gitdeploy cutover show {site.name} {other.id}",
            )
        row = ctx.ledger.cutovers.add(
            Cutover(ids.new("cut"), site.name, name, "open", clock.now(), actor.name, note, ticket)
        )
        _event(ctx, row, "cutover.requested", actor.name, note=note, ticket=ticket)
    teller.done(f"cutover of {name} to production of {site.name} is requested: {row.id}")
    found = cutover_plan.loss(ctx, both, rehearse.facts(both.held), rehearse.facts(both.its))
    cutover_plan.say_loss(found, teller)
    cutover_plan.say_time(both.preview, teller)
    say_ticket(row, teller)
    teller.detail(f"rehearse it: git push -o rehearse managed HEAD:cutover/{name}")
    teller.detail(f"an operator acks it: git push managed HEAD:approve/{row.id}")
    return row


def ack(ctx: Context, actor: Actor, site: Site, row: Cutover, teller: Teller, *, ticket: str = "") -> Cutover:
    """Agree to it; it is run separately, when that suits. Raises Busy unless it is open."""
    actor.need(Role.OPERATOR, site.name, "ack a cutover", PRODUCTION)
    refuse_same_person(ctx, actor, site, row, "ack")
    check_limits("", ticket)
    both = cutover_plan.sides(ctx, site, row.preview)
    row = _decide(ctx, actor, row, "acked", "cutover.acked", **({"ticket": ticket} if ticket else {}))
    teller.done(f"{row.id} is acked by {actor.name}")
    cutover_plan.say_time(both.preview, teller)
    say_ticket(row, teller)
    teller.detail(f"to run it: git push managed HEAD:cutover/{row.preview}")
    return row


def reject(ctx: Context, actor: Actor, site: Site, row: Cutover, reason: str) -> Cutover:
    """Raises Invalid without a reason, Busy unless it is open."""
    actor.need(Role.OPERATOR, site.name, "reject a cutover", PRODUCTION)
    if not reason.strip():
        raise Invalid("A cutover is rejected with a reason.", "Say why: --reason, or by git -o reason=…")
    check_limits(reason, "")
    return _decide(ctx, actor, row, "rejected", "cutover.rejected", reason=reason)


def cancel(ctx: Context, actor: Actor, site: Site, row: Cutover, reason: str = "") -> Cutover:
    """Take a request back, by whoever asked or an operator. Raises Busy once it is under way or over."""
    actor.need(
        Role.DEVELOPER if actor.name == row.requester else Role.OPERATOR,
        site.name,
        f"cancel {row.id}",
        PRODUCTION,
    )
    check_limits(reason, "")
    return _decide(ctx, actor, row, "canceled", "cutover.canceled", reason=reason)


def find(ctx: Context, site: Site, name: str) -> Cutover:
    """By its id, or the newest of a preview. Raises NotFound."""
    found = ctx.ledger.cutovers.one(site=site.name, id=name)
    found = found or ctx.ledger.cutovers.one(site=site.name, preview=name, order="id DESC")
    if found is None:
        raise NotFound(
            f"{site.name} has no cutover {name[:80]!r}.", f"See: gitdeploy cutover list {site.name}"
        )
    return found


def open_for(ctx: Context, site: Site, preview: str) -> Cutover | None:
    """The request for a preview that is not over; also by its own id."""
    for by in ({"preview": preview}, {"id": preview}):
        where: dict[str, Any] = {**by, "state": OPEN}
        if (found := ctx.ledger.cutovers.one(site=site.name, **where)) is not None:
            return found
    return None


def listing(ctx: Context, actor: Actor, site: Site, *, before: str = "~", limit: int = -1) -> list[Cutover]:
    """Newest first; `before` is the id of the last one already seen."""
    actor.need(Role.DEVELOPER, site.name, "see its cutovers")
    return ctx.ledger.cutovers.where(
        site=site.name, order="id DESC", limit=limit, sql="id < ?", given=(before,)
    )


def refuse_same_person(ctx: Context, actor: Actor, site: Site, row: Cutover, verb: str) -> None:
    """Where `two_person` is set whoever asked for a cutover neither acks nor runs it."""
    if policy.of_site(site, ctx.repository(site.name)).production.two_person and actor.name == row.requester:
        raise Refused(
            f"{actor.name} requested {row.id}, and two_person wants somebody else to {verb} it.",
            "Ask another operator.",
        )


def say_ticket(row: Cutover, teller: Teller) -> None:
    if not row.ticket:
        teller.problem(
            f"{row.id} names no ticket, and needs one before it is run.",
            "Say in which the cutover is agreed on: -o ticket=… (--ticket) when it is acked or run.",
        )


def watch(ctx: Context) -> None:
    """Warn once of each preview that may be gone before its cutover is run."""
    for row in ctx.ledger.cutovers.where(state=("open", "acked")):
        preview = ctx.ledger.environments.get(row.site, row.preview)
        ends = preview.expires_at if preview else None
        if ends is not None and ends != row.warned and ends <= clock.later(cutover_plan.SOON):
            with ctx.ledger.atomic():
                ctx.ledger.cutovers.change(row, warned=ends)
                _event(ctx, row, "cutover.preview_expiring", "gitdeploy", expires_at=ends)


# Private


def _decide(ctx: Context, actor: Actor, row: Cutover, state: str, action: str, **said: str) -> Cutover:
    with ctx.ledger.atomic():
        row = find(ctx, ctx.site(row.site), row.id)
        check_move(row, state)
        _event(ctx, row, action, actor.name, **said)
        return ctx.ledger.cutovers.change(
            row, state=state, decided_at=clock.now(), decided_by=actor.name, **said
        )


def _event(ctx: Context, row: Cutover, action: str, actor: str, **said: object) -> None:
    told = {"preview": row.preview, **{name: one for name, one in said.items() if one}}
    ctx.event(action, actor=actor, site=row.site, env=PRODUCTION, subject=row.id, data=told)
