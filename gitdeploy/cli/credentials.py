"""The tokens of servers elsewhere, one file for each address, which nobody else may read.

$XDG_CONFIG_HOME/gitdeploy/tokens/<address>     {"url", "token", "id", "actor", "expires_at"}
"""

from __future__ import annotations

import contextlib
import json
import os
import urllib.parse
from pathlib import Path

from gitdeploy.errors import Failed, Invalid, Refused


def address(url: str) -> str:
    """`HTTP://Host:8470/` -> `http://host:8470`. Raises Invalid."""
    said = urllib.parse.urlsplit(url)
    if said.scheme not in ("http", "https") or not said.hostname or said.path.strip("/"):
        raise Invalid(f"{url!r} is not the address of a server.", "Such as https://deploy.example.org")
    if said.username or said.password or said.query or said.fragment:
        raise Invalid("The address of a server has no user, password or query.", "Say https://HOST[:PORT]")
    return f"{said.scheme}://{said.netloc.lower()}"


def read(url: str) -> dict[str, str]:
    """What is kept for an address; empty for nothing. Raises Refused when others may read it."""
    path = _path(url)
    try:
        if path.stat().st_mode & 0o077:
            raise Refused(f"Others may read {path}.", f"Say: chmod 600 {path}, and log in anew to be sure.")
        kept = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Failed(f"{path} cannot be read: {error}.", f"Remove it, then: gitdeploy login {url}") from error
    return {name: str(value) for name, value in kept.items()} if isinstance(kept, dict) else {}


def keep(url: str, kept: dict[str, str]) -> Path:
    path = _path(url)
    path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    making = path.with_name(f".{path.name}.{os.getpid()}")
    making.unlink(missing_ok=True)
    with os.fdopen(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"url": url, **kept}, file)
        file.flush()
        os.fsync(file.fileno())
    making.rename(path)
    return path


def forget(url: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        _path(url).unlink()


def _path(url: str) -> Path:
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return config / "gitdeploy" / "tokens" / urllib.parse.quote(url, safe="")
