"""What stands between a build and the machine: functions from a Command to a Command.

From the outside in: `guarded` (dies with the daemon, joins its control group, low priority, bounded files),
then `bubblewrapped` or `separated` (own folders, processes and user), then `user.told` (environment, command).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gitdeploy import bubblewrap, process
from gitdeploy.process import Command
from gitdeploy.user import User, as_user, lesser, program

BUBBLEWRAP, PROCESSES, NONE = "bubblewrap", "pid-namespace", "none"
BUILD_USER = "gitdeploy-build"

# Dies with its parent: the wish is lost with a change of user, and said again after it.
_DIES = ("--pdeathsig", "KILL")
_ETC = (
    *("passwd", "group", "hosts", "host.conf", "resolv.conf", "nsswitch.conf", "services", "protocols"),
    *(
        "ssl",
        "pki",
        "ca-certificates",
        "ca-certificates.conf",
        "localtime",
        "timezone",
        "mime.types",
        "fonts",
    ),
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "python3"),
)
_SHARED_MEMORY = 256 * 1024**2

# $1 is the daemon, then folders of control groups up to a --, then the command.
_JOIN = """[ "$PPID" = "$1" ] || exit 125
shift
echo 500 >/proc/self/oom_score_adj
while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs" || exit 125; shift; done
shift
exec "$@"
"""


@dataclass(frozen=True)
class Isolation:
    """`level` is one of BUBBLEWRAP, PROCESSES, NONE; `why_not` says what is missing and how to get it."""

    level: str
    why_not: str = ""


@dataclass(frozen=True)
class Place:
    """The folders a build may write, as it sees them: its tree, what it keeps between runs, and /tmp."""

    work: Path
    cache: Path
    tmp: Path

    def inside(self, isolation: Isolation) -> Place:
        if isolation.level == BUBBLEWRAP:
            return Place(Path("/build"), Path("/cache"), Path("/tmp"))
        return self


@lru_cache(maxsize=1)
def build_user() -> User | None:
    """None when the daemon is not root: then builds run as the daemon's user."""
    return lesser(BUILD_USER)


@lru_cache(maxsize=1)
def isolation() -> Isolation:
    """The strongest that works on this machine, found by trying it once."""
    user = build_user()
    why = bubblewrap.trouble(_bwrap(Command(("true",)), user, (), network=False))
    if not why:
        return Isolation(BUBBLEWRAP)
    if process.run(_unshared(Command(("true",)), user)).code == 0:
        return Isolation(PROCESSES, why)
    return Isolation(NONE, why)


def bubblewrapped(
    command: Command,
    place: Place,
    user: User | None,
    *,
    folder: str,
    network: bool,
    toolchains: Iterable[Path] = (),
    hidden: Iterable[Path] = (),
    info_fd: int | None = None,
) -> Command:
    """See only the system, the toolchains and the place, from /build/`folder`; `hidden` folders are empty.

    bubblewrap writes `{"child-pid": N, …}` to `info_fd`: the first process of the build's own namespace.
    """
    binds = [word for path in toolchains for word in bubblewrap.shown(path)]
    covers = [word for path in hidden for word in ("--tmpfs", str(path))]
    inside = place.inside(Isolation(BUBBLEWRAP))
    own = [
        word
        for outer, inner in ((place.work, inside.work), (place.cache, inside.cache), (place.tmp, inside.tmp))
        for word in ("--bind", str(outer), str(inner))
    ]
    options = [*binds, *covers, *own, "--chdir", str(inside.work / folder)]
    if info_fd is not None:
        options += ["--info-fd", str(info_fd)]
    return _bwrap(command, user, options, network=network)


def separated(command: Command, level: str, user: User | None) -> Command:
    """Without bubblewrap: the build's own user, and its own process namespace where that is possible."""
    return _unshared(command, user) if level == PROCESSES else _as_user(command, user)


def guarded(command: Command, groups: Iterable[Path], limits: Mapping[str, int]) -> Command:
    """Dies when the thread that starts it does, stands behind everything live, obeys `limits`.

    `limits` are prlimit(1)'s names. Exit code 125: it could not be started like this.
    """
    bounds = [f"--{name}={value}:{value}" for name, value in sorted(limits.items())]
    idle = [program("ionice"), "-c", "3"] if shutil.which("ionice") else []
    return command.wrapped(
        [
            *(program("setpriv"), "--pdeathsig", "KILL"),
            *("/bin/sh", "-c", _JOIN, "join", str(os.getpid()), *map(str, groups), "--"),
            *(program("prlimit"), "--core=0:0", *bounds),
            *(program("nice"), "-n", "10", *idle),
        ]
    )


def _bwrap(command: Command, user: User | None, options: Iterable[str], *, network: bool) -> Command:
    own = [
        "--die-with-parent",
        "--new-session",
        "--unshare-uts",
        "--unshare-cgroup-try",
        "--hostname",
        "build",
    ]
    own += [] if network else ["--unshare-net"]
    own += ["--size", str(_SHARED_MEMORY), "--perms", "1777", "--tmpfs", "/dev/shm"]
    own += ["--dir", "/etc"]
    for name in _ETC:
        path = Path("/etc", name)
        if path.exists():
            own += ["--ro-bind", str(path.resolve()), str(path)]
    return bubblewrap.confined(command, user, [*own, *options], *_DIES)


def _unshared(command: Command, user: User | None) -> Command:
    own = ("--pid", "--fork", "--kill-child", "--mount-proc")
    rootless = () if user else ("--user", "--map-current-user")
    return _as_user(command, user).wrapped((program("unshare"), *rootless, *own, "--"))


def _as_user(command: Command, user: User | None) -> Command:
    """Give up every right."""
    return as_user(command, user, *_DIES)
