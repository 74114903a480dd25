"""What a program of a slot sees of the machine: the system read-only, its release, and what it may write.

That is its own folder, the data of its environment, and `/tmp`. Of gitdeploy's home there is nothing else, and of
the processes only those of the same copy. The network is the machine's, and so are the sockets in `/run`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gitdeploy import bubblewrap
from gitdeploy.process import Command
from gitdeploy.user import User

_SYSTEM = tuple(map(Path, ("/etc", "/opt", "/nix", "/run", "/sys", "/var/lib/ca-certificates")))
# Doors to what our own user may do outside: its session's service manager, a unit's and a container's secrets.
_CLOSED = tuple(map(Path, ("/run/user", "/run/credentials", "/run/secrets")))
_TEMPORARY = tuple(map(Path, ("/tmp", "/var/tmp")))


@dataclass(frozen=True)
class Sight:
    """The folders of one slot, absolute and without links. `data` None: the environment has none."""

    home: Path
    layout: Path
    own: Path
    data: Path | None = None


@lru_cache(maxsize=1)
def why_not(user: User | None) -> str:
    """Why programs of `user` cannot be confined on this machine, found out by trying it once; "" where they can."""
    return bubblewrap.trouble(bubblewrap.confined(Command(("true",)), user, _system()))


def confined(command: Command, sight: Sight, user: User | None) -> Command:
    """The command as `user`, seeing just that, from the release's folder."""
    options = [*_system(), *_private(sight), "--chdir", str(sight.layout)]
    return bubblewrap.confined(command, user, options)


def _system() -> Iterator[str]:
    for path in _SYSTEM:
        if path.is_dir():
            yield from bubblewrap.shown(path)
    for path in _CLOSED:
        if path.is_dir():
            yield from bubblewrap.covered(path)
    yield from ("--dir", "/var", "--symlink", "../run", "/var/run")
    yield from ("--perms", "1777", "--tmpfs", "/dev/shm")
    yield from ("--ro-bind-try", "/dev/log", "/dev/log")


def _private(sight: Sight) -> Iterator[str]:
    for path in _TEMPORARY:
        if sight.home.is_relative_to(path):  # or the way to it would be made in the program's own folder
            yield from ("--perms", "1777", "--tmpfs", str(path))
        else:
            yield from ("--bind", str(sight.own / "tmp"), str(path))
    tools = bubblewrap.toolchains(_search_path(), Path(os.environ.get("HOME", "/")))
    inner = [path for path in tools if path.is_relative_to(sight.home)]
    for path in tools:
        if path not in inner:
            yield from bubblewrap.shown(path)
    yield from bubblewrap.covered(sight.home)
    for path in (*inner, sight.layout):
        yield from bubblewrap.shown(path)
    for writable in (sight.own, sight.data):
        if writable is not None:
            yield from bubblewrap.shown(writable, "--bind")
    yield from ("--remount-ro", str(sight.home))


def _search_path() -> str:
    """With our own interpreter's folder: those on PATH may be links to it."""
    return os.pathsep.join((os.environ["PATH"], f"{sys.base_prefix}/bin"))
