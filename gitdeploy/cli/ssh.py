"""The SSH door: what sshd runs for a known key (`command="gitdeploy --home … ssh KEY"` in authorized_keys)."""

from __future__ import annotations

import os
import re
import shlex
import sys

import click

from gitdeploy import process
from gitdeploy.cli.asking import Settings, settings
from gitdeploy.errors import Refused
from gitdeploy.git import backend

_FOR_PEOPLE = frozenset(
    ["releases", "live", "builds", "build", "logs", "previews", "preview", "promote", "rollback", "redeploy",
     "diff", "verify", "site", "lock", "unlock", "pin", "events", "access", "token", "key", "doctor", "gc", "fsck",
     "freeze", "approve", "approvals", "incident", "snapshot", "cutover", "rehearsal", "clone", "moves", "schedule"]
)  # fmt: skip


@click.command(hidden=True)
@click.argument("key")
@settings
def ssh(asked: Settings, key: str) -> None:
    """Serve one SSH login: git's services, and the commands that only ask the daemon."""
    try:
        words = shlex.split(os.environ.get("SSH_ORIGINAL_COMMAND", ""))
    except ValueError:
        words = []
    service = words[0] if words else ""
    if service in backend.SERVICES and len(words) == 2:
        sys.exit(_git(asked, key, service, words[1]))
    if service not in _FOR_PEOPLE:
        raise Refused(
            "This login is for git and gitdeploy commands, it has no shell.",
            "Try: ssh git@host releases SITE, or: git clone ssh://git@host/SITE.git",
        )
    session = asked.client.ask("POST", "/sessions", {"key": key, "pid": os.getpid()})["session"]
    command = process.Command(
        (sys.executable, "-P", "-m", "gitdeploy", "--home", str(asked.home), *words),
        env={"GITDEPLOY_SESSION": session},
    )
    sys.exit(_as_child(asked, command, session))


def _git(asked: Settings, key: str, service: str, path: str) -> int:
    site = re.sub(r"\.git$", "", path.strip("/"))
    wish = {"key": key, "pid": os.getpid(), "site": site, "service": service}
    opened = asked.client.ask("POST", "/sessions", wish)
    protocol = os.environ.get("GIT_PROTOCOL", "")
    return _as_child(
        asked, backend.ssh(service, opened["repository"], protocol, opened["session"]), opened["session"]
    )


def _as_child(asked: Settings, command: process.Command, session: str) -> int:
    try:
        child = process.start(command, stdin=None)
        return child.wait()
    except KeyboardInterrupt:
        return 130
    finally:
        asked.client.ask("DELETE", f"/sessions/{session}")


COMMANDS = (ssh,)
