"""A site, and what is set up for it."""

from __future__ import annotations

from typing_extensions import TypedDict

from gitdeploy.service.site import Remotes


class Live(TypedDict):
    release: str
    commit: str
    artifact: str


class Site(TypedDict):
    """`urls` by environment; `lock` is the reason why nothing goes live, null without one."""

    id: str
    name: str
    created_at: str
    lock: str | None
    branch: str
    remotes: Remotes
    urls: dict[str, str]
    domains: list[str]
    live: Live | None


class Copy(TypedDict):
    """One copy of a program: `last` is how the one before it ended."""

    name: str
    state: str
    pid: int | None
    port: int | None
    since: str | None
    restarts: int
    last: str | None


class Environment(TypedDict):
    """`kind` is production, named or preview; `state` is building, ready, failed or restoring."""

    name: str
    kind: str
    branch: str
    state: str
    release: str | None
    url: str
    created_at: str
    expires_at: str | None
    processes: list[Copy]


class Allowed(TypedDict):
    env: str
    networks: list[str]


class Variable(TypedDict):
    """The value of a secret is null."""

    value: str | None
    secret: bool


class Config(TypedDict):
    env: str
    version: str | None
    variables: dict[str, Variable]


class Configured(TypedDict):
    """The version that was made, and the releases that brought it to those who see it."""

    env: str
    version: str
    releases: list[str]


Freeze = TypedDict(
    "Freeze",
    {
        "id": str, "site": str, "env": str, "from": str, "until": str, "reason": str, "actor": str,
        "created_at": str,
    },
)  # fmt: skip


class Holding(TypedDict):
    until: str | None
    said: str


class Freezes(TypedDict):
    """`settings` and `now` by environment."""

    declared: list[Freeze]
    settings: dict[str, list[str]]
    now: dict[str, Holding]


class RunEnded(TypedDict):
    """How a command ended; null when it took too long."""

    code: int | None


class Removed(TypedDict):
    removed: str
