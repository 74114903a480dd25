"""What builds and apps, which both run in bubblewrap, have in common.

Where we are root, bubblewrap is started as root and gives way to the lesser user inside: so it works where
unprivileged user namespaces are forbidden, and with folders that only we may enter.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from gitdeploy import process
from gitdeploy.process import Command
from gitdeploy.user import User, as_user, program

_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


def confined(command: Command, user: User | None, options: Iterable[str], *rights: str) -> Command:
    """See the system's programs and what bubblewrap's `options` add, in process and IPC namespaces of its own.

    Nothing of it can be written but what the options say. `rights` are more of setpriv(1)'s options.
    """
    argv = [program("bwrap"), "--unshare-pid", "--unshare-ipc"]
    argv += [] if user else ["--unshare-user"]
    argv += [*_programs(), "--proc", "/proc", "--dev", "/dev"]
    argv += [*options, "--remount-ro", "/dev", "--remount-ro", "/"]
    if user:
        argv += [word for name in ("SETUID", "SETGID", "SETPCAP") for word in ("--cap-add", f"CAP_{name}")]
    return as_user(command, user, *rights).wrapped([*argv, "--"])


def trouble(tried: Command) -> str:
    """Why `tried`, a confined command that only has to succeed, does not; "" when it does."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed (apt-get install bubblewrap)"
    done = process.run(tried)
    if done.code == 0:
        return ""
    said = done.err.decode(errors="replace").strip().splitlines()
    return f"bubblewrap does not work here: {said[-1] if said else f'exit {done.code}'}"


def surrounds(pid: int) -> bool:
    """Whether the process is bubblewrap itself, which stands around a program and ends with it."""
    try:
        return Path(f"/proc/{pid}/comm").read_bytes() == b"bwrap\n"
    except OSError:
        return False


def shown(path: Path, how: str = "--ro-bind") -> list[str]:
    """Bind it where it is."""
    return [*_parents(path), how, str(path), str(path)]


def covered(path: Path) -> list[str]:
    """Nothing of what is there, but a place for what is shown in it."""
    return [*_parents(path), "--tmpfs", str(path)]


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


def _parents(path: Path) -> list[str]:
    """Made one by one: those that bubblewrap makes by itself are closed to other users."""
    return [word for parent in reversed(path.parents[:-1]) for word in ("--dir", str(parent))]


def _programs() -> Iterator[str]:
    yield from ("--ro-bind", "/usr", "/usr")
    for name in _SYSTEM:
        path = Path("/", name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))
