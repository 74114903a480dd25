"""One effect for a key, however often and from however many it is asked for at once."""

from __future__ import annotations

from gitdeploy.domain.answer import DAYS, Answer, is_final
from gitdeploy.errors import Busy
from gitdeploy.service.context import Context
from gitdeploy.store import clock


def begin(ctx: Context, id: str, request: str) -> Answer | None:
    """What was answered, or is being found out (`running`); None for whoever is the first, who has to `end` it.

    Raises Busy for a key that was used for another request, or whose answer is lost.
    """
    with ctx.ledger.atomic():
        for old in ctx.ledger.answers.where(
            sql="created_at < ?", given=(clock.later(-DAYS * 86400),), limit=100
        ):
            ctx.ledger.answers.remove(old)
        found = ctx.ledger.answers.get(id)
        if found is None:
            ctx.ledger.answers.add(Answer(id, request, clock.now()))
            return None
    if found.request != request:
        raise Busy("This Idempotency-Key was used for another request.", "Use a new key for a new request.")
    if found.state == "lost":
        raise Busy(
            "The server was stopped while it was doing this.",
            "Look at what is live now; to ask again, use a new key.",
        )
    return found


def end(ctx: Context, id: str, status: int, body: bytes) -> None:
    """Keep the answer, or nothing when it was a refusal."""
    found = ctx.ledger.answers.get(id)
    if found is None:
        return
    if is_final(status):
        ctx.ledger.answers.change(found, state="done", status=status, body=body)
    else:
        ctx.ledger.answers.remove(found)


def lose(ctx: Context) -> None:
    """At start: nothing is under way."""
    for one in ctx.ledger.answers.where(state="running"):
        ctx.ledger.answers.change(one, state="lost")
