"""Branches that move without a push: a mirror fetch, a repository put back from a backup, somebody with a shell.

The ledger remembers where each branch stood when it was last acted on. A branch that stands elsewhere, with no
push under way, is treated as if it had been pushed.
"""

from __future__ import annotations

import logging

from gitdeploy.domain.push import PendingPush
from gitdeploy.domain.refs import ZERO
from gitdeploy.domain.site import Site
from gitdeploy.domain.switch import OPEN
from gitdeploy.service import push
from gitdeploy.service.context import Context
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock, ids

log = logging.getLogger("gitdeploy.heads")


def catch_up(ctx: Context, site: Site) -> bool:
    """Act on every branch that moved without us; whether all stood where they were known to be."""
    known = {one.ref: one.commit for one in ctx.ledger.heads.where(site=site.name)}
    heads = ctx.repository(site.name).refs("refs/heads/")
    moved = [ref for ref in sorted({*heads, *known}) if heads.get(ref, ZERO) != known.get(ref, ZERO)]
    for ref in moved:
        _catch_up(ctx, site, ref, heads.get(ref, ZERO))
    return not moved


def _catch_up(ctx: Context, site: Site, ref: str, now: str) -> None:
    with ctx.ledger.atomic():
        known = ctx.ledger.heads.get(site.name, ref)
        before = known.commit if known else ZERO
        under_way = ctx.ledger.pushes.one(site=site.name, ref=ref) or ctx.ledger.switches.one(
            site=site.name, phase=OPEN
        )
        if under_way or before == now or (ctx.repository(site.name).ref(ref) or ZERO) != now:
            return
        log.info("%s: %s moved without a push, from %s to %s", site.name, ref, before[:7], now[:7])
        pending = ctx.ledger.pushes.add(
            PendingPush(ids.new("psh"), ref, site.name, before, now, "gitdeploy", "[]", clock.now())
        )
        ctx.event(
            "ref.moved", actor="gitdeploy", site=site.name, subject=ref, data={"from": before, "to": now}
        )
    push.carry_on(ctx, pending, Teller())
