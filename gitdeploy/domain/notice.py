"""An event as others understand it: signed JSON, a line in a chat, the status of a commit, a mail. Pure: what is sent
follows from the event alone.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any
from urllib.parse import quote, urlsplit

from gitdeploy.domain.event import Event

SIGNATURE = "Gitdeploy-Signature"
_LONGEST = 140  # characters of a status on GitHub


@dataclass(frozen=True)
class Told:
    """An event with the addresses it is about (`site`, `env`, `dashboard`), and the commit, when there is one."""

    event: Event
    urls: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""


@dataclass(frozen=True)
class Target:
    """Where to send to, with the `secret` that signs or the `token` that is asked for there."""

    url: str
    secret: str = ""
    token: str = ""


@dataclass(frozen=True)
class Request:
    """A POST. `final` are the answers that no later attempt would change."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    final: frozenset[int] = frozenset()


def of_json(told: Told, target: Target) -> Request:
    body = {**told.event.__dict__, "urls": dict(told.urls)}
    return _post(target.url, body, {"Gitdeploy-Event": told.event.action, "Gitdeploy-Id": told.event.id})


def of_slack(told: Told, target: Target) -> Request:
    """What Slack, Mattermost and Rocket.Chat take."""
    text = _escaped(sentence(told.event))
    if said := _said(told.event):
        text += f"\n> {_escaped(said)}"
    if url := told.urls.get("env") or told.urls.get("dashboard"):
        text += f"\n<{url}>"
    return _post(target.url, {"text": text}, {}, final=(400,))


def of_github(told: Told, target: Target) -> Request | None:
    parts = urlsplit(target.url)
    own = parts.hostname in ("github.com", "www.github.com")
    api = "https://api.github.com" if own else f"{parts.scheme}://{parts.netloc}/api/v3"
    return _status(
        told, f"{api}/repos/{_repository(parts.path)}/statuses/{told.commit}", _GITHUB, "context",
        {"Authorization": f"Bearer {target.token}", "Accept": "application/vnd.github+json"},
    )  # fmt: skip


def of_gitlab(told: Told, target: Target) -> Request | None:
    parts = urlsplit(target.url)
    project = quote(_repository(parts.path), safe="")
    url = f"{parts.scheme}://{parts.netloc}/api/v4/projects/{project}/statuses/{told.commit}"
    return _status(told, url, _GITLAB, "name", {"PRIVATE-TOKEN": target.token})


def of_gitea(told: Told, target: Target) -> Request | None:
    parts = urlsplit(target.url)
    url = f"{parts.scheme}://{parts.netloc}/api/v1/repos/{_repository(parts.path)}/statuses/{told.commit}"
    return _status(told, url, _GITEA, "context", {"Authorization": f"token {target.token}"})


REQUESTS: Mapping[str, Callable[[Told, Target], Request | None]] = {
    "json": of_json, "slack": of_slack, "github": of_github, "gitlab": of_gitlab, "gitea": of_gitea,
}  # fmt: skip
"""None when the format has nothing to say of that event."""


def mail(told: Told, target: Target, sender: str) -> EmailMessage:
    event, found = told.event, EmailMessage()
    found["From"] = sender
    found["To"] = urlsplit(target.url).path
    found["Subject"] = f"[gitdeploy] {sentence(event)}"
    found["Message-ID"] = f"<{event.id}@{sender.rpartition('@')[2].strip('> ') or 'gitdeploy'}>"
    found["Auto-Submitted"] = "auto-generated"
    facts = json.dumps(event.data, indent=2, ensure_ascii=False, sort_keys=True)
    addresses = "".join(f"{name:10} {url}\n" for name, url in told.urls.items())
    found.set_content(f"{sentence(event)}\n{_said(event)}\n\n{event.at}  {event.id}\n{addresses}\n{facts}\n")
    return found


def signature(secret: str, moment: int, body: bytes) -> str:
    """`t=<seconds since 1970>,v1=<HMAC-SHA256 of "<t>.<body>", in hex>`."""
    sealed = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256)
    return f"t={moment},v1={sealed.hexdigest()}"


def sentence(event: Event) -> str:
    """`blog production: r42 is live (deploy by maya)`"""
    where = " ".join(one for one in (event.site, event.env) if one)
    noun, _, verb = event.action.partition(".")
    what = _SENTENCES.get(event.action, f"{noun} {verb.replace('_', ' ')}")
    subject = "" if event.subject in ("", event.site) else f"{event.subject} "
    kind = event.data.get("kind", "") if event.action == "release.live" else ""
    by = " ".join(one for one in (str(kind), f"by {event.actor}" if event.actor else "") if one)
    text = f"{where + ': ' if where else ''}{subject}{what}{f' ({by})' if by else ''}"
    return _plain(text)


# Private

_SENTENCES = {
    "release.live": "is live", "release.failed": "failed, and what was live still is", "build.failed": "failed",
    "build.built": "is built", "build.queued": "is in line", "schedule.refused": "was due and is refused",
    "snapshot.not_proven": "could not be proven", "snapshot.failed": "a snapshot failed",
    "snapshot.copy_failed": "could not be copied", "incident.opened": "an incident is open",
    "incident.closed": "the incident is closed", "webhook.given_up": "told nobody for a day",
    "webhook.test": "a test of this webhook",
}  # fmt: skip
_GITHUB = {
    "build.queued": "pending", "build.built": "success", "build.failed": "failure", "build.canceled": "error",
    "build.superseded": "error", "release.live": "success", "release.failed": "failure", "webhook.test": "success",
}  # fmt: skip
_GITLAB = {**_GITHUB, "build.failed": "failed", "release.failed": "failed", "build.canceled": "canceled",
           "build.superseded": "canceled"}  # fmt: skip
_GITEA = {**_GITHUB, "build.superseded": "warning"}


def _post(url: str, body: Any, headers: Mapping[str, str], final: tuple[int, ...] = ()) -> Request:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return Request(url, {"Content-Type": "application/json", **headers}, text, frozenset(final))


def _status(
    told: Told, url: str, states: Mapping[str, str], name: str, headers: Mapping[str, str]
) -> Request | None:
    """Builds have one line of the commit, each environment another."""
    event = told.event
    if not told.commit or event.action not in states:
        return None
    line = f"gitdeploy/{event.env if event.env else event.action.partition('.')[0]}"
    body = {"state": states[event.action], name: line, "description": sentence(event)[:_LONGEST]}
    if url_of := told.urls.get("dashboard") if not event.env else told.urls.get("env"):
        body["target_url"] = url_of
    return _post(url, body, headers, final=(400, 404, 422))


def _repository(path: str) -> str:
    return path.strip("/").removesuffix(".git")


def _said(event: Event) -> str:
    return _plain(
        " · ".join(str(event.data[one]) for one in ("error", "said", "reason") if event.data.get(one))
    )


def _plain(text: str) -> str:
    return "".join(one if one.isprintable() else " " for one in text)[:1000]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
