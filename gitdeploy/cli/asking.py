"""What commands share: where the daemon is, and the options that many of them take."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from gitdeploy.cli import credentials
from gitdeploy.cli.client import Client
from gitdeploy.domain.names import PRODUCTION
from gitdeploy.errors import Invalid

Function = TypeVar("Function", bound=Callable[..., Any])
SYSTEM_HOME = Path("/var/lib/gitdeploy")


@dataclass(frozen=True)
class Settings:
    home: Path
    url: str
    token: str

    @classmethod
    def of(cls, home: str | None, url: str, token: str) -> Settings:
        return cls(Path(home).expanduser() if home else default_home(), url, token)

    @property
    def client(self) -> Client:
        token = self.token
        if self.url and not token:
            token = credentials.read(credentials.address(self.url)).get("token", "")
        return Client(self.home, self.url, token, os.environ.get("GITDEPLOY_SESSION", ""))


def default_home() -> Path:
    """The system's home when there is one that this user can reach, else the user's own."""
    if os.access(SYSTEM_HOME / "run", os.X_OK):
        return SYSTEM_HOME
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "gitdeploy"


settings = click.make_pass_decorator(Settings)


def as_json(command: Function) -> Function:
    return click.option("--json", "as_json", is_flag=True, help="Print the facts as one JSON document.")(
        command
    )


def env(command: Function) -> Function:
    return click.option(
        "--env",
        default=PRODUCTION,
        show_default=True,
        metavar="ENV",
        help="Environment, or a preview's branch.",
    )(command)


def site(command: Function) -> Function:
    return click.argument("site", metavar="SITE")(command)


def rehearsing(command: Function) -> Function:
    """`--rehearse` and `--rehearsal`."""
    rehearsal = click.option(
        "--rehearsal", default="", metavar="ID", help="Only while all is as it was in this rehearsal."
    )
    rehearse = click.option(
        "--rehearse", is_flag=True, help="Run it on copies, say what it does and how long it takes, and stop."
    )
    return rehearse(rehearsal(command))


def utc(text: str) -> str:
    """A time as somebody types it, in UTC; what names no zone is in that of this machine. Raises Invalid."""
    if not text:
        return ""
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise Invalid(
            f"{text!r} is not a time.", "Write 2026-11-01T02:00 or 2026-11-01T02:00+01:00."
        ) from None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
