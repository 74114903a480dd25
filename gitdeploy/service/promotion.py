"""A standby takes the place of the server that it followed; two never act.

    claim     in the home, then in the place: one more than the greatest there
    wait      for longer than the lease of any other: whoever held one has seen this claim, or has stopped
    look      is it still the greatest? Another may have claimed meanwhile
    catch up  with what the replaced server shipped until it stopped
    data      databases and data folders, from their snapshots
    hold      the claim is this server's, and the home follows no more

Killed anywhere, it is finished by doing it again.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from gitdeploy.domain.term import Claim
from gitdeploy.errors import Failed, Refused
from gitdeploy.service import bring_back, follow
from gitdeploy.service.context import Context
from gitdeploy.service.lead import PREFIX, elapsed, held, hold
from gitdeploy.service.teller import Teller
from gitdeploy.store import durable, ids
from gitdeploy.store.backup_place import BackupPlace
from gitdeploy.store.home import Home
from gitdeploy.store.terms import Terms


def prepare(home: Home, terms: Terms) -> Claim:
    """Say in the home that it is to be promoted, and with which claim; whoever follows there ends then. Raises Refused
    for a server that acts or acted, Failed when the place does not answer.
    """
    if name := follow.promoting(home):
        return Claim.named(name)
    state = follow.State.read(home)
    claims = terms.claims()
    if state is None and held(home):
        if claims and claims[-1].name == held(home):
            raise Refused(f"The server in {home.root} acts already.", "See: gitdeploy standby status")
        raise Refused(
            f"The server in {home.root} was replaced, and has a history of its own since.",
            "Have a home that does not exist yet follow the other: gitdeploy standby follow",
        )
    if not claims:
        raise Refused(f"No server has acted by {terms.name} yet.", "Start it: gitdeploy serve")
    claim = Claim(claims[-1].number + 1, state.holder if state else ids.new(PREFIX))
    durable.make_folder(home.standby, mode=0o700)
    durable.write_file(home.standby / "claim", claim.name.encode())
    return claim


def take_over(
    home: Home, claim: Claim, terms: Terms, place: Callable[[], BackupPlace], teller: Teller
) -> None:
    """Claim, wait, look and catch up. Raises Refused when another was promoted meanwhile: this one follows on."""
    others = [terms.read(one) for one in terms.claims() if one != claim]
    if not others:
        raise Failed(f"{terms.name} knows no server any more.", "Is it mounted, and the right one?")
    longest = max(others, key=lambda one: one.lease)
    terms.write(Claim(claim.number, claim.holder, socket.gethostname(), longest.lease))
    began = elapsed()
    teller.step(
        f"claimed term {claim.number} in {terms.name}; waiting {longest.wait:.0f} s for {longest.host} to stop"
    )
    while elapsed() - began < longest.wait:
        time.sleep(min(1.0, longest.wait))
    greatest = terms.claims()[-1]
    if greatest != claim:
        (home.standby / "claim").unlink(missing_ok=True)
        raise Refused(
            f"{terms.read(greatest).host} was promoted at the same time, and acts.",
            "This home follows on: gitdeploy standby follow",
        )
    state = follow.State.read(home)
    if state is not None:
        now = follow.catch_up(home, place())
        if not now.applied:
            raise Failed(
                f"{home.root} has nothing yet: no shipment ever came.", "See: gitdeploy standby status"
            )
        teller.detail(f"has what {longest.host} had at {now.taken}")


def finish(ctx: Context, claim: Claim, terms: Terms, teller: Teller) -> None:
    """Data, and the end of following."""
    if follow.State.read(ctx.home) is not None:
        bring_back.fill(ctx, teller)
    ctx.event("server.promoted", actor="promote", subject=claim.name, data={"term": claim.number})
    terms.forget(claim.holder)
    hold(ctx.home, claim)
    done = ctx.home.root / ".standby"
    durable.remove_tree(done)
    ctx.home.standby.rename(done)
    durable.sync_folder(ctx.home.root)
    durable.remove_tree(done)
