"""Tells webhooks what happens. Each reads the ledger's events from where it stopped, one after the other, in a thread
of its own while there is something to tell: whoever is slow or away holds up nobody else.

What was delivered is written down after the answer. Killed in between, it is delivered again: at least once, in order.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from gitdeploy.domain.event import Event
from gitdeploy.domain.webhook import DAY, KEPT, Delivery, Webhook
from gitdeploy.errors import GitdeployError
from gitdeploy.service import webhook
from gitdeploy.service.context import Context
from gitdeploy.service.mishap import plainly
from gitdeploy.store import clock

log = logging.getLogger("gitdeploy.postman")
_AT_ONCE = 100
_FAR = 1000
"""Events that nobody wanted after which the cursor is written all the same."""
_REST = 60.0
"""Seconds for which a webhook is left alone when what was sent could not be written down."""


class Postman:
    def __init__(self) -> None:
        self._threads: dict[str, threading.Thread] = {}
        self._seen: dict[str, int] = {}
        self._rests: dict[str, float] = {}
        self._head = -1

    def look(self, ctx: Context) -> None:
        """Begin what is due; returns at once."""
        self._threads = {id: one for id, one in self._threads.items() if one.is_alive()}
        head, late = ctx.ledger.events.head, False
        test = "next_at <= ?" if head == self._head else "next_at IS NULL OR next_at <= ?"
        for hook in ctx.ledger.webhooks.where(sql=test, given=(clock.now(),), order="cursor"):
            if max(self._seen.get(hook.id, 0), hook.cursor) >= head and hook.next_at is None:
                continue
            resting = self._rests.get(hook.id, 0.0) > time.monotonic()
            if resting or hook.id in self._threads or len(self._threads) >= _AT_ONCE:
                late = True
                continue
            thread = threading.Thread(
                target=self._tell, args=(ctx, hook), name=f"webhook {hook.id}", daemon=True
            )
            self._threads[hook.id] = thread
            thread.start()
        self._head = -1 if late else head

    def _tell(self, ctx: Context, hook: Webhook) -> None:
        try:
            self._seen[hook.id] = self._go_through(ctx, hook)
        except Exception as error:
            if ctx.queue.stopping.is_set():  # and the ledger is closed: it is told again at the next start
                return
            self._rests[hook.id] = time.monotonic() + _REST  # nobody hears the same thing twice a second
            log.error("%s", plainly(error, f"telling {hook.id}").message)

    def _go_through(self, ctx: Context, hook: Webhook) -> int:
        """The number up to which nothing is left to tell, for now."""
        number = max(hook.cursor, self._seen.get(hook.id, 0))
        while True:
            head = ctx.ledger.events.head
            found = ctx.ledger.events.after(number, sites=_names(ctx, hook, number))
            for number, event in found:
                if ctx.queue.stopping.is_set():
                    return number - 1
                if not hook.wants(event):
                    continue
                sent = _deliver(ctx, hook, event)
                if sent is None:
                    continue
                now = _write_down(ctx, hook.id, number, sent)
                if now is None or now.next_at is not None:
                    return now.cursor if now else number
                hook = now
            if not found:
                return max(number, head)
            if number - hook.cursor >= _FAR:
                hook = ctx.ledger.webhooks.change(hook, cursor=number)


def _deliver(ctx: Context, hook: Webhook, event: Event) -> Delivery | None:
    try:
        return webhook.deliver(ctx, hook, event, attempt=hook.attempts + 1)
    except GitdeployError as error:  # such as a vault that has lost its key
        return webhook.untold(hook, event, "failed", error.message)


def _write_down(ctx: Context, id: str, number: int, sent: Delivery) -> Webhook | None:
    """The webhook as it is then; None when it is gone."""
    with ctx.ledger.atomic():
        hook = ctx.ledger.webhooks.get(id)
        if hook is None:
            return None
        webhook.log(ctx, sent)
        if sent.state == "failed":
            hook = ctx.ledger.webhooks.change(hook, **webhook.postponed(hook, sent.error))
            return _give_up(ctx, hook) if webhook.worn_out(hook) else hook
        well: dict[str, Any] = {"attempts": 0, "failing_since": None, "next_at": None, "error": ""}
        return ctx.ledger.webhooks.change(hook, cursor=number, **well)


def _give_up(ctx: Context, hook: Webhook) -> Webhook:
    """It fails for a day: what is older than that is not told any more, unless by `redeliver`."""
    horizon = clock.text(datetime.now(UTC) - timedelta(seconds=DAY))
    number, given_up = hook.cursor, 0
    while found := ctx.ledger.events.after(number, sites=_names(ctx, hook, number)):
        for this, event in found:
            if event.at > horizon:
                break
            number = this
            if hook.wants(event):
                given_up += 1
                if given_up <= KEPT:
                    webhook.log(ctx, webhook.untold(hook, event, "given_up", hook.error))
        else:
            continue
        break
    if given_up:
        log.error("%s: %d events are not told to %s: %s", hook.id, given_up, hook.place, hook.error)
        ctx.event("webhook.given_up", actor="gitdeploy", site=hook.site or "", subject=hook.id,
                  data={"events": given_up, "to": hook.place, "error": hook.error})  # fmt: skip
    return ctx.ledger.webhooks.change(hook, cursor=number)


def _names(ctx: Context, hook: Webhook, after: int) -> tuple[str, ...]:
    """Those its site has had since: events keep the name that was right when they happened."""
    if hook.site is None:
        return ()
    names = [hook.site]
    for name in names:
        names += [one for one in ctx.ledger.events.former_names(name, after) if one not in names]
    return tuple(names)
