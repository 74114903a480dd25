"""The server itself: who may what, what happened, who is told."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from gitdeploy.domain.webhook import Asked


class Explained(TypedDict):
    """`code` is failed, invalid, not_found, busy, refused, not_proven, changed, unauthorized, too_many or http;
    `hint` the next step, empty without one.
    """

    code: str
    message: str
    hint: str


class Error(TypedDict):
    error: Explained


class Event(TypedDict):
    """A line of the audit log; `hash` is over all else, with the `prev` of the line before."""

    id: str
    at: str
    site: str
    env: str
    actor: str
    action: str
    subject: str
    data: dict[str, object]
    prev: str
    hash: str


class Backup(TypedDict):
    """`stored` are the bytes that were not in `place` before; `without` says what could not be had."""

    id: str
    created_at: str
    actor: str
    place: str
    files: int
    bytes: int
    stored: int
    seconds: float
    without: list[str]


class Builder(TypedDict):
    """`running` builds of `places` at once; `away` says why it was not reached when last tried, empty when it was."""

    name: str
    address: str
    places: int
    running: int
    away: str
    created_at: str
    actor: str


class BegunLogin(TypedDict):
    """As in RFC 8628, 3.2; `expires_in` and `interval` are seconds."""

    device_code: str
    user_code: str
    verification_uri: str
    expires_in: int
    interval: int


class Login(TypedDict):
    """`state` is pending, slow_down or allowed; the token comes with that, once."""

    state: str
    interval: int
    token: NotRequired[str]
    id: NotRequired[str]
    actor: NotRequired[str]
    expires_at: NotRequired[str | None]


class LoggedOut(TypedDict):
    revoked: str
    actor: str


class Revoked(TypedDict):
    revoked: str
    site: str
    env: str


class Token(TypedDict):
    """`sites` and `role` limit it; none and empty for no limit."""

    id: str
    actor: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    used_at: str | None
    sites: list[str]
    role: str


class MadeToken(Token):
    """`token` is the secret."""

    token: str


class Key(TypedDict):
    id: str
    actor: str
    kind: str
    body: str
    comment: str
    created_at: str
    used_at: str | None
    sites: list[str]
    role: str


class Webhook(TypedDict):
    """`site` is null for all; `events` are patterns."""

    id: str
    site: str | None
    format: str
    url: str
    events: list[str]
    created_at: str
    actor: str
    failing_since: str | None
    attempts: int
    next_at: str | None
    error: str | None


class MadeWebhook(Webhook):
    """`secret` signs what is sent; null for a format that is not signed."""

    secret: str | None


class Delivery(TypedDict):
    """`state` is delivered, failed, refused or given_up; `cause` event, test or redelivery."""

    id: str
    webhook: str
    event: str
    action: str
    at: str
    state: str
    cause: str
    attempt: int
    seconds: float
    status: int | None
    error: str | None
    request: Asked
    answer: str


class OpenSession(TypedDict):
    """`repository` is the path that git is to work in, empty for other sessions."""

    session: str
    actor: str
    repository: str


class Nothing(TypedDict):
    pass
