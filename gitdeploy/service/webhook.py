"""Webhooks: added, listed, tried out, removed, and their deliveries. `postman` sends what happens by itself."""

from __future__ import annotations

import json
import random
import secrets
import time
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from gitdeploy.domain import notice, webhook
from gitdeploy.domain.event import Event
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.domain.notice import Target, Told
from gitdeploy.domain.role import EVERY_SITE, Actor, Role
from gitdeploy.domain.webhook import DAY, FORGES, KEPT, Delivery, Webhook
from gitdeploy.errors import Failed, Invalid, NotFound
from gitdeploy.service import sending
from gitdeploy.service.context import Context
from gitdeploy.service.sending import Outcome
from gitdeploy.store import clock, ids

_SHOWN = 8192
"""Characters of a body that the log keeps."""
_SECRET = ("authorization", "private-token")


def add(
    ctx: Context, actor: Actor, address: str, *, site: str = "", format: str = "json",
    events: Iterable[str] = (), token: str = "",
) -> tuple[Webhook, str]:  # fmt: skip
    """A webhook of a site, or of all, and the secret that its JSON is signed with ("" in other formats), which is shown
    this once. Raises Refused for an address that is not public, and below maintainer; for all sites below admin.
    """
    _need(actor, site, "add webhooks")
    where = ctx.site(site).name if site else None
    parts = webhook.address(address, format)
    if bool(token) != (format in FORGES):
        raise Invalid(*(("This format takes no token.", "") if token else (
            f"{format} needs a token that may set the status of commits.", "Give it on standard input."
        )))  # fmt: skip
    if format == "mail" and not ctx.server.mail.host:
        raise Failed("No mail server is set.", "Say it in server.toml: [mail] host = …, sender = …")
    if format != "mail":
        _refuse_private(ctx, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    secret = f"whsec_{secrets.token_urlsafe(24)}" if format == "json" else ""
    id = ids.new("hook")
    sealed = ctx.vault.seal(json.dumps(asdict(Target(address, secret, token))).encode(), _about(id))
    row = Webhook(
        id, where, format, webhook.shown(parts, format), webhook.patterns(events, format), sealed, clock.now(),
        actor.name, cursor=ctx.ledger.events.head,
    )  # fmt: skip
    with ctx.ledger.atomic():
        ctx.event(
            "webhook.added", actor=actor.name, site=site, subject=id, data={"to": row.place, "format": format}
        )
        return ctx.ledger.webhooks.add(row), secret


def listing(ctx: Context, actor: Actor, site: str = "", *, after: str = "", limit: int = -1) -> list[Webhook]:
    """Those of a site, for its maintainers; without `site` all there are, for admins. `after` is the id of the last one
    already seen.
    """
    _need(actor, site, "see webhooks")
    where: dict[str, Any] = {"site": ctx.site(site).name} if site else {}
    return ctx.ledger.webhooks.where(order="id", limit=limit, sql="id > ?", given=(after,), **where)


def find(ctx: Context, actor: Actor, id: str) -> Webhook:
    """By its id, or an ending of it that no other has."""
    found = [one for one in ctx.ledger.webhooks.where() if one.id.lower().endswith(id.lower()) and id]
    if len(found) != 1 or actor.role(found[0].site or EVERY_SITE) is None:
        raise NotFound(f"There is no webhook {id[:40]!r}.", "See: gitdeploy webhook list")
    _need(actor, found[0].site or "", "see its webhooks")
    return found[0]


def remove(ctx: Context, actor: Actor, id: str) -> Webhook:
    found = find(ctx, actor, id)
    with ctx.ledger.atomic():
        ctx.ledger.webhooks.remove(found)
        ctx.event(
            "webhook.removed",
            actor=actor.name,
            site=found.site or "",
            subject=found.id,
            data={"to": found.place},
        )
    return found


def test(ctx: Context, actor: Actor, id: str) -> Delivery:
    """Send it a made-up event `webhook.test`, now and once."""
    hook = find(ctx, actor, id)
    event = Event(ids.new("evt"), clock.now(), hook.site or "", "", actor.name, "webhook.test", hook.id)
    if hook.format in FORGES:  # of the commit that is live
        live = ctx.ledger.releases.one(site=hook.site, env=PRODUCTION, state="live") if hook.site else None
        if live is None:
            raise Failed(
                "There is no live release whose commit could get a status.", "Push to production first."
            )
        event = Event(**{**event.__dict__, "data": {"commit": live.commit}})
    sent = deliver(ctx, hook, event, cause="test")
    assert sent is not None
    return log(ctx, sent)


def deliveries(
    ctx: Context, actor: Actor, id: str, *, before: str = "~", limit: int = KEPT
) -> list[Delivery]:
    """What was sent to a webhook, newest first; `before` is the id of the last one already seen."""
    hook = find(ctx, actor, id)
    return ctx.ledger.deliveries.where(
        webhook=hook.id, order="id DESC", limit=limit, sql="id < ?", given=(before,)
    )


def redeliver(ctx: Context, actor: Actor, id: str) -> Delivery:
    """Send the event of a delivery once more, now and once, whatever became of it."""
    found = ctx.ledger.deliveries.get(id)
    if found is None:
        raise NotFound(f"There is no delivery {id[:40]!r}.", "See: gitdeploy webhook deliveries WEBHOOK")
    hook = find(ctx, actor, found.webhook)
    event = ctx.ledger.events.get(found.event)
    sent = deliver(ctx, hook, event, cause="redelivery") if event else None
    if sent is None:
        raise NotFound(f"{found.id} was a test.", f"Say: gitdeploy webhook test {hook.id}")
    return log(ctx, sent)


def deliver(
    ctx: Context, hook: Webhook, event: Event, *, cause: str = "event", attempt: int = 1
) -> Delivery | None:
    """Tell one event, once; None when its format has nothing to say of it. The caller writes it down."""
    target = Target(**json.loads(ctx.vault.open(hook.sealed, _about(hook.id))))
    told = _told(ctx, event)
    began, at = time.monotonic(), clock.now()
    if hook.format == "mail":
        message = notice.mail(told, target, ctx.server.mail.sender)
        asked: dict[str, Any] = {
            "method": "MAIL",
            "url": hook.place,
            "headers": {},
            "body": message.as_string(),
        }
        outcome = sending.mail(message, ctx.server.mail)
    else:
        request = notice.REQUESTS[hook.format](told, target)
        if request is None:
            return None
        headers = dict(request.headers)
        if target.secret:
            headers[notice.SIGNATURE] = notice.signature(target.secret, int(time.time()), request.body)
        open_ones = {name: value for name, value in headers.items() if name.lower() not in _SECRET}
        asked = {"method": "POST", "url": hook.place, "headers": open_ones, "body": request.body.decode()}
        outcome = sending.post(notice.Request(request.url, headers, request.body, request.final),
                               ctx.server.webhooks.allow_private)  # fmt: skip
    asked["body"] = asked["body"][:_SHOWN]
    return Delivery(
        ids.new("dlv"), hook.id, event.id, event.action, at, _state(outcome), cause, attempt,
        round(time.monotonic() - began, 3), outcome.status, outcome.error, json.dumps(asked), outcome.answer,
    )  # fmt: skip


def untold(hook: Webhook, event: Event, state: str, error: str) -> Delivery:
    """What is written of an event that was not even sent."""
    return Delivery(
        ids.new("dlv"), hook.id, event.id, event.action, clock.now(), state, "event", hook.attempts + 1, 0.0,
        error=error,
    )  # fmt: skip


def log(ctx: Context, sent: Delivery) -> Delivery:
    """Write a delivery down, and forget the oldest."""
    with ctx.ledger.atomic():
        ctx.ledger.deliveries.add(sent)
        for old in ctx.ledger.deliveries.where(
            webhook=sent.webhook, order="id DESC", limit=-1, sql="id < (SELECT id FROM deliveries WHERE webhook = ? "
            "ORDER BY id DESC LIMIT 1 OFFSET ?)", given=(sent.webhook, KEPT - 1),
        ):  # fmt: skip
            ctx.ledger.deliveries.remove(old)
    return sent


def postponed(hook: Webhook, error: str) -> dict[str, Any]:
    """What a failed attempt changes in the row of a webhook; a little chance keeps them from coming all at once."""
    attempts = hook.attempts + 1
    seconds = webhook.wait(attempts) * random.uniform(0.75, 1.25)
    since = hook.failing_since or clock.now()
    return {"attempts": attempts, "failing_since": since, "next_at": clock.later(seconds), "error": error}


def worn_out(hook: Webhook) -> bool:
    """It has failed for a day."""
    return hook.failing_since is not None and hook.failing_since < clock.later(-DAY)


# Private


def _told(ctx: Context, event: Event) -> Told:
    if not event.site:
        return Told(event, {"dashboard": f"http://{ctx.listen}/"})
    urls = {"site": ctx.url(event.site), "dashboard": f"http://{ctx.listen}/sites/{event.site}"}
    if env := ctx.ledger.environments.get(event.site, event.env) if event.env else None:
        urls["env"] = ctx.url(event.site, env.label)
    commit = str(event.data.get("commit", ""))
    if event.action.startswith("build."):
        urls["dashboard"] += f"/builds/{event.subject}"
        build = ctx.ledger.builds.get(event.subject)
        commit = commit or (build.commit if build else "")
    elif event.action.startswith("release.") and event.subject[1:].isdigit():
        urls["dashboard"] += f"/releases/{event.subject}"
        release = ctx.ledger.releases.one(site=event.site, number=int(event.subject[1:]))
        commit = commit or (release.commit if release else "")
    return Told(event, urls, commit)


def _state(outcome: Outcome) -> str:
    return "delivered" if outcome.ok else "refused" if outcome.final else "failed"


def _refuse_private(ctx: Context, host: str, port: int) -> None:
    try:
        sending.public(host, port, ctx.server.webhooks.allow_private)
    except Failed:
        return  # it may have an address when it is needed


def _need(actor: Actor, site: str, action: str) -> None:
    actor.need(Role.MAINTAINER if site else Role.ADMIN, site or EVERY_SITE, action)


def _about(id: str) -> str:
    return f"webhook {id}"
