"""Whom a program runs as: another user than the daemon where the daemon is root, and never with more rights."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gitdeploy.process import Command

_libc = ctypes.CDLL(None)

# The environment comes on stdin: it is read by the program's own user, and stands in no argument list.
_TELL = '. /proc/self/fd/0 && exec "$@" </dev/null'


@dataclass(frozen=True)
class User:
    uid: int
    gid: int
    name: str


def lesser(name: str) -> User | None:
    """The user `name`, or nobody where there is none; None when we are not root: then it is our own user."""
    if os.geteuid() != 0:
        return None
    for known in (name, "nobody"):
        try:
            entry = pwd.getpwnam(known)
        except KeyError:
            continue
        return User(entry.pw_uid, entry.pw_gid, known)
    return User(65534, 65534, "nobody")


def as_user(command: Command, user: User | None, *options: str) -> Command:
    """The command without any right, as `user`; `options` are more of setpriv(1)'s."""
    change: tuple[str, ...] = ()
    if user is not None:
        change = ("--reuid", str(user.uid), "--regid", str(user.gid), "--clear-groups")
        change = (*change, "--inh-caps=-all", "--bounding-set=-all")
    return command.wrapped((program("setpriv"), *change, "--no-new-privs", *options))


@contextlib.contextmanager
def files_as(user: User | None) -> Iterator[None]:
    """Open files in the block with the rights of `user`: of this thread alone (setfsuid(2)). So a link that the user
    planted leads nowhere that the user could not go.
    """
    if user is None:
        yield
        return
    _libc.setfsgid(user.gid)
    _libc.setfsuid(user.uid)
    try:
        yield
    finally:
        _libc.setfsuid(os.geteuid())
        _libc.setfsgid(os.getegid())


def told(command: Command, env: Mapping[str, str], *, name: str) -> tuple[Command, bytes]:
    """The command, and what is to be its stdin: shell lines that set the environment.

    What the environment does to programs (`LD_PRELOAD`) begins after every right was given up, when the
    result is wrapped by `as_user`. `name` is what the shell calls itself when something is wrong.
    """
    lines = [f"export {key}={shlex.quote(value)}\n" for key, value in sorted(env.items())]
    return command.wrapped(("/bin/sh", "-c", _TELL, name)), "".join(lines).encode(errors="surrogateescape")


def program(name: str) -> str:
    """Its full name, so that no PATH of a program decides what runs outside of it."""
    return shutil.which(name) or name
