"""The command that starts a copy of a program. From the outside in: its control group, what it sees of the machine,
its user, its bounds, its environment, and the shell line as a person wrote it.
"""

from __future__ import annotations

import asyncio
import os
import resource
import shlex
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from gitdeploy import cgroup, process
from gitdeploy.cgroup import Group
from gitdeploy.domain.app import MOST_PROCESSES
from gitdeploy.errors import Failed
from gitdeploy.process import Command
from gitdeploy.runtime.apps.confine import Sight, confined
from gitdeploy.runtime.edge.running import Running
from gitdeploy.user import User, as_user, lesser, program, told

APP_USER = "gitdeploy-app"

# The arguments are folders of control groups up to a --, then the command.
_JOIN = """while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 125; shift; done
shift
exec "$@"
"""
# The first process on a terminal, which hangs up when it ends: Ctrl-C is for what it runs, and it waits for that.
_LEADER = 'trap : INT QUIT; eval "$1"'
_PACKAGES = ".packages"
_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)  # as given to the keeper, which takes more for itself

Child: TypeAlias = subprocess.Popen[Any]


@dataclass(frozen=True)
class Ground:
    """What all programs of a slot have in common. `layout` and `own` are absolute; `user` None is our own.

    `sight` None: they see of the machine what their user does.
    """

    layout: Path
    own: Path
    user: User | None
    environment: Mapping[str, str]
    sight: Sight | None = None

    def variables(self) -> dict[str, str]:
        """The given ones win over those that help to find programs; nothing wins over where its home is."""
        path = [self.layout / name for name in (f"{_PACKAGES}/bin", ".venv/bin", "node_modules/.bin")]
        found = {"PATH": ":".join([*(str(one) for one in path if one.is_dir()), os.environ["PATH"]])}
        if (self.layout / _PACKAGES).is_dir():
            found["PYTHONPATH"] = str(self.layout / _PACKAGES)
        private = {"HOME": str(self.own / "home"), "TMPDIR": str(self.own / "tmp")}
        return {"PYTHONUNBUFFERED": "1", **found, **self.environment, **private}


def app_user() -> User | None:
    return lesser(APP_USER)


def check_reachable(layout: Path, user: User | None) -> None:
    """Raises Failed when the app's user could not enter the folder it is to run in."""
    closed = [one for one in layout.resolve().parents if not one.stat().st_mode & 0o001] if user else []
    if user and closed:
        raise Failed(
            f"{user.name}, who runs apps, may not enter {closed[-1]}.", f"Run: chmod o+x {closed[-1]}"
        )


def group(name: str, memory: int) -> Group | None:
    """The control group of one copy, bounded to `memory` bytes if that is not 0."""
    return cgroup.make(name, memory=memory, processes=MOST_PROCESSES)


def command(
    line: str, ground: Ground, group: Group | None, memory: int, more: Mapping[str, str]
) -> tuple[Command, bytes]:
    """The command, and what is to be its stdin. Exit code 125: it could not be started like this.

    What stands around the program has the variables `more` as well, so that all of it can be found by them.
    """
    inner, stdin = told(Command(("/bin/sh", "-c", line)), {**ground.variables(), **more}, name="app")
    bounded = inner.wrapped(_bounds(memory, group))
    if ground.sight:
        alone = confined(bounded, ground.sight, ground.user)
    else:
        alone = as_user(bounded, ground.user)
    folders = map(str, group.folders if group else ())
    joined = alone.wrapped(("/bin/sh", "-c", _JOIN, "join", *folders, "--"))
    return Command(joined.argv, cwd=ground.layout, env=more), stdin


def spawn(
    line: str, ground: Ground, group: Group | None, memory: int, more: Mapping[str, str], out: int
) -> Child:
    """Start it in a session of its own, its output going to `out`. Raises OSError."""
    return _start(*command(line, ground, group, memory, more), out, own_session=True)


def spawn_on(terminal: int, line: str, ground: Ground, group: Group | None, more: Mapping[str, str]) -> Child:
    """Start it in a session that `terminal` controls: its Ctrl-C, its window, its end. Raises OSError."""
    leader = shlex.join((program("setsid"), "--ctty", "--wait", "/bin/sh", "-c", _LEADER, "console", line))
    # The session is begun by the last link of the chain: one that has a session cannot begin another.
    return _start(*command(f"exec {leader} <&1", ground, group, 0, more), terminal, own_session=False)


async def ended(process: Running) -> None:
    """Wait for the end of a process that need not be our child."""
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    try:
        if not process.alive:  # asked only now: the number was another's, perhaps, when it was looked up
            return
        loop.add_reader(fd, over.cancel)
        await asyncio.wait({over})
    finally:
        loop.remove_reader(fd)
        os.close(fd)


def told_end(child: Child | None) -> str:
    """How it ended; None is one that was not started by us, and nobody tells us.

    What stands between us and a program says 128 + n for the signal n, as shells do.
    """
    code = child.poll() if child is not None else None
    if code is None:
        return "by itself"
    number = -code if code < 0 else code - 128
    by_signal = number in set(signal.Signals)
    return f"by {signal.Signals(number).name}" if by_signal else f"with exit code {code}"


def _start(wanted: Command, environment: bytes, out: int, *, own_session: bool) -> Child:
    with open(os.memfd_create("environment"), "r+b", buffering=0) as stdin:
        stdin.write(environment)
        stdin.seek(0)
        return process.start(wanted, stdin=stdin, stdout=out, stderr=out, own_session=own_session)


def _bounds(memory: int, group: Group | None) -> list[str]:
    """Processes are bounded by a control group alone: prlimit(1) would count all of the user's together."""
    bounds = ["--core=0:0", f"--nofile={_FILES[0]}:{_FILES[1]}"]
    if memory and not (group and group.memory):
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        most = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
        bounds.append(f"--data={most}:{most}")
    return [program("prlimit"), *bounds]
