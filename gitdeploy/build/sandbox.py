"""What stands between a build and the machine: functions from a Command to a Command.

From the outside in: `guarded` (dies with the daemon, joins its control group, low priority, bounded files),
then `bubblewrapped` or `separated` (own folders, processes and user), then `user.told` (environment, command).

Where the daemon is root, bubblewrap is started as root and gives way to the build's user inside: so it works
where unprivileged user namespaces are forbidden, and in folders that only the daemon may enter.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gitdeploy import process
from gitdeploy.process import Command
from gitdeploy.user import User, as_user, lesser, program

BUBBLEWRAP, PROCESSES, NONE = "bubblewrap", "pid-namespace", "none"
BUILD_USER = "gitdeploy-build"

_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
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
    if shutil.which("bwrap") is None:
        why = "bubblewrap is not installed (apt-get install bubblewrap)"
    else:
        tried = process.run(_bwrap(Command(("true",)), user, (), network=False))
        if tried.code == 0:
            return Isolation(BUBBLEWRAP)
        said = tried.err.decode(errors="replace").strip().splitlines()
        why = f"bubblewrap does not work here: {said[-1] if said else f'exit {tried.code}'}"
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
    binds = [word for path in toolchains for word in _shown(path)]
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


def toolchains(path: str, home: Path) -> list[Path]:
    """The folders outside the system's own that PATH (`path`) needs: `/opt/node/bin` needs `/opt/node`.

    Of a tool right below a person's `home` (`~/.cargo/bin`) only the programs are shown: what stands beside
    them is private.
    """
    found: list[Path] = []
    for entry in map(Path, path.split(os.pathsep)):
        if entry.name not in ("bin", "sbin") or not entry.is_absolute() or not entry.is_dir():
            continue
        prefix = entry.parent
        if entry.is_relative_to("/usr") or prefix == Path("/"):
            continue
        shown = entry if prefix == home or prefix.parent in (home, Path("/")) else prefix
        if not any(shown.is_relative_to(other) for other in found):
            found.append(shown)
    return found


def _bwrap(command: Command, user: User | None, options: Iterable[str], *, network: bool) -> Command:
    argv = [program("bwrap"), "--die-with-parent", "--new-session", "--unshare-pid", "--unshare-ipc"]
    argv += ["--unshare-uts", "--unshare-cgroup-try", "--hostname", "build"]
    argv += [] if network else ["--unshare-net"]
    argv += [] if user else ["--unshare-user"]
    argv += [*_system(), "--proc", "/proc", "--dev", "/dev"]
    argv += ["--size", str(_SHARED_MEMORY), "--perms", "1777", "--tmpfs", "/dev/shm"]
    argv += [*options, "--remount-ro", "/"]
    if user:
        argv += [word for name in ("SETUID", "SETGID", "SETPCAP") for word in ("--cap-add", f"CAP_{name}")]
    return _as_user(command, user).wrapped([*argv, "--"])


def _system() -> list[str]:
    argv = ["--ro-bind", "/usr", "/usr"]
    for name in _SYSTEM:
        path = Path("/", name)
        if path.is_symlink():
            argv += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            argv += ["--ro-bind", str(path), str(path)]
    argv += ["--dir", "/etc"]
    for name in _ETC:
        path = Path("/etc", name)
        if path.exists():
            argv += ["--ro-bind", str(path.resolve()), str(path)]
    return argv


def _shown(path: Path) -> list[str]:
    """Bind it read-only. Its parents are made first: those that bubblewrap makes are closed to the build."""
    parents = [word for parent in reversed(path.parents[:-1]) for word in ("--dir", str(parent))]
    return [*parents, "--ro-bind", str(path), str(path)]


def _unshared(command: Command, user: User | None) -> Command:
    own = ("--pid", "--fork", "--kill-child", "--mount-proc")
    rootless = () if user else ("--user", "--map-current-user")
    return _as_user(command, user).wrapped((program("unshare"), *rootless, *own, "--"))


def _as_user(command: Command, user: User | None) -> Command:
    """Give up every right. The wish to die with the parent is lost with the change of user: say it again."""
    return as_user(command, user, "--pdeathsig", "KILL")
