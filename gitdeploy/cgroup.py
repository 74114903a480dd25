"""A control group: a bound on the memory and processes of what runs in it, and the certain list of it.

Version 1 (a folder a controller) and version 2 (one folder) are both written, whichever the machine mounts:
Linux Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst. Without the right to make a group there is none.
A systemd unit should say `Delegate=yes`, and `DelegateSubgroup=daemon` or its process `step_aside`: groups are then
made beside the process.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gitdeploy import marks

_ASIDE = "daemon"
_SHARES_V1, _WEIGHT_V2 = "256", "25"  # a quarter of what a live process gets


@dataclass(frozen=True)
class Group:
    """`folders` are all to be joined. `memory` and `processes` say which bounds the kernel enforces."""

    folders: tuple[Path, ...]
    memory: bool
    processes: bool

    def pids(self) -> set[int]:
        return {int(pid) for folder in self.folders for pid in _read(folder / "cgroup.procs").split()}

    def memory_kills(self) -> int:
        """How many of its processes the kernel killed for want of memory."""
        return sum(
            int(count)
            for folder in self.folders
            for file in ("memory.oom_control", "memory.events")
            for count in re.findall(r"^oom_kill (\d+)", _read(folder / file), re.MULTILINE)
        )

    def refused_processes(self) -> int:
        """How often a process could not be started because there were too many."""
        return sum(
            int(count)
            for folder in self.folders
            for count in re.findall(r"^max (\d+)", _read(folder / "pids.events"), re.MULTILINE)
        )

    def kill(self, *, within: float = 10.0) -> bool:
        """Kill everything in it; true when nothing is left alive. The group can be used again."""
        bounds = {folder / "pids.max": _read(folder / "pids.max") for folder in self.folders}
        for file in bounds:
            _write(file, "0")  # nothing new can start while the rest is killed
            _write(file.with_name("cgroup.kill"), "1")
        try:
            return marks.end(self.pids, within=within)
        finally:
            for file, bound in bounds.items():
                _write(file, bound)

    def remove(self) -> None:
        """Remove the empty group; one that still holds something stays."""
        for folder in self.folders:
            with contextlib.suppress(OSError):
                folder.rmdir()


def make(
    name: str, *, memory: int, processes: int, background: bool = False, together: bool = False
) -> Group | None:
    """The group `name`, bounded to `memory` bytes and `processes` processes (0: unbounded), or None where
    none can be made.

    `background` stands behind everything else for the processor. `together`: want of memory kills all of it,
    not only the process that wants most (version 2 can, version 1 never does).
    """
    folders: list[Path] = []
    bounds: set[str] = set()
    for version, controllers, parent in _parents():
        folder = parent / name
        try:
            folder.mkdir(exist_ok=True)
        except OSError:
            continue
        folders.append(folder)
        if memory and "memory" in controllers and _bound_memory(folder, version, memory, together):
            bounds.add("memory")
        if processes and "pids" in controllers and _write(folder / "pids.max", str(processes)):
            bounds.add("pids")
        if background:
            share = ("cpu.shares", _SHARES_V1) if version == 1 else ("cpu.weight", _WEIGHT_V2)
            _write(folder / share[0], share[1])
    if not folders:
        return None
    return Group(tuple(folders), "memory" in bounds, "pids" in bounds)


def step_aside() -> None:
    """Go into the subgroup `daemon` of our own group, for one whom the group was given (systemd: Delegate=yes):
    only a group without processes of its own can have bounded ones in it (version 2).
    """
    for version, _, own in _parents():
        with contextlib.suppress(OSError):
            if version == 2:
                (own / _ASIDE).mkdir(exist_ok=True)
                _write(own / _ASIDE / "cgroup.procs", str(os.getpid()))


def sweep(prefix: str) -> None:
    """End and remove groups named `<prefix>-<pid>-<hex>` whose process is dead, with all that runs in them."""
    for name, left in named(f"{prefix}-"):
        match = re.fullmatch(rf"{re.escape(prefix)}-(\d+)-[0-9a-f]+", name)
        if match and not Path(f"/proc/{match[1]}").exists() and left.kill(within=1.0):
            left.remove()


def named(prefix: str, *, beside: bool = False) -> list[tuple[str, Group]]:
    """The groups whose names begin so, each hierarchy's by itself; with `beside` also those that lie in a group
    next to our own, as another unit of systemd has them.
    """
    folders: set[Path] = set()
    for _, _, own in _parents():
        folders.update(own.glob(f"{prefix}*"))
        folders.update(own.parent.glob(f"*/{prefix}*") if beside else ())
    return [(one.name, Group((one,), memory=False, processes=False)) for one in sorted(folders)]


def _bound_memory(folder: Path, version: int, memory: int, together: bool) -> bool:
    if version == 1:
        bounded = _write(folder / "memory.limit_in_bytes", str(memory))
        _write(folder / "memory.memsw.limit_in_bytes", str(memory))
        return bounded
    _write(folder / "memory.swap.max", "0")
    _write(folder / "memory.oom.group", "1" if together else "0")
    return _write(folder / "memory.max", str(memory))


def _parents() -> Iterator[tuple[int, set[str], Path]]:
    """(version, controllers, our own folder) of each hierarchy that can bound a group or list what runs."""
    mounts = dict(_mounts())
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        _, names, inside = line.split(":", 2)
        controllers = set(names.split(",")) & {"memory", "pids", "cpu"}
        if (names and not controllers) or names not in mounts:
            continue
        root, mount = mounts[names]
        own = mount / inside.removeprefix(root).lstrip("/")
        if names:
            yield 1, controllers, own
            continue
        own = own.parent if own.name == _ASIDE else own
        for controller in ("memory", "pids", "cpu"):
            _write(own / "cgroup.subtree_control", f"+{controller}")
        yield 2, set(_read(own / "cgroup.subtree_control").split()), own


def _mounts() -> Iterator[tuple[str, tuple[str, Path]]]:
    """(controllers as /proc/self/cgroup names them, (mounted root, mount point)): proc_pid_mountinfo(5)."""
    listed = [line.split(":", 2)[1] for line in _read(Path("/proc/self/cgroup")).splitlines()]
    for line in _read(Path("/proc/self/mountinfo")).splitlines():
        before, _, after = line.partition(" - ")
        root, mount = before.split()[3:5]
        kind, _, options = after.split()[:3]
        if kind == "cgroup2":
            yield "", (root.rstrip("/"), Path(mount))
        elif kind == "cgroup":
            for names in listed:
                if names and set(names.split(",")) <= set(options.split(",")):
                    yield names, (root.rstrip("/"), Path(mount))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _write(path: Path, text: str) -> bool:
    try:
        path.write_text(text)
    except OSError:
        return False
    return True
