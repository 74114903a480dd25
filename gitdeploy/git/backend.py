"""Git's own servers, as commands: what the HTTP and SSH doors start."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gitdeploy.process import Command

SERVICES = ("git-upload-pack", "git-receive-pack")


def http(root: Path, *, request: Mapping[str, str], session: str) -> Command:
    """git-http-backend(1) for one request, whose CGI variables (RFC 3875) are in `request`."""
    return Command(
        ("git", "http-backend"),
        env={
            **_plain(session),
            **request,
            "GATEWAY_INTERFACE": "CGI/1.1",
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROJECT_ROOT": str(root),
        },
    )


def ssh(service: str, repository: str, protocol: str, session: str) -> Command:
    """The service that an SSH client asked for, on standard input and output."""
    env = {**_plain(session), **({"GIT_PROTOCOL": protocol} if protocol else {})}
    return Command(("git", service.removeprefix("git-"), repository), env=env)


def _plain(session: str) -> dict[str, str]:
    return {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GITDEPLOY_SESSION": session}
