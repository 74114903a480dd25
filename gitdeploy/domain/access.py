"""Who is known, and by what they are recognised."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Grant:
    """`actor` holds `role` on `site` (`*`: every site); with `env`, a pattern, only in the environments it matches."""

    actor: str
    site: str
    role: str
    env: str = ""


@dataclass(frozen=True)
class Token:
    """A secret that stands for an actor; only its SHA-256 is kept (the secret has 160 random bits). With `sites` (their
    ids, with spaces between) or `role` it may no more than that, whatever its owner may.
    """

    id: str
    actor: str
    hash: str
    created_at: str
    expires_at: str | None = None
    revoked_at: str | None = None
    used_at: str | None = None
    sites: str = ""
    role: str = ""


@dataclass(frozen=True)
class Key:
    """A public SSH key that stands for an actor. `kind` is `ssh-ed25519` …, `body` its base64; `sites` and `role` as of
    a token.
    """

    id: str
    actor: str
    kind: str
    body: str
    comment: str
    created_at: str
    used_at: str | None = None
    sites: str = ""
    role: str = ""
