"""Which process is which. A pid alone is never believed: pids are used again, records outlive reboots.

A process is the one meant when its pid, the kernel's time of its start and the boot it belongs to all agree.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gitdeploy.runtime.edge.tls import Tls
from gitdeploy.store import durable

_started: dict[int, subprocess.Popen[Any]] = {}


@dataclass(frozen=True)
class Running:
    """`born` is `<boot id>/<start in clock ticks>`, `runs` a hash of the program and settings."""

    name: str
    pid: int
    born: str
    runs: str = ""

    @classmethod
    def child(cls, name: str, runs: str, child: subprocess.Popen[Any]) -> Running:
        """A process just started by us; it is remembered, so that it leaves no zombie when it ends."""
        for pid, other in list(_started.items()):
            if other.poll() is not None:
                _started.pop(pid, None)
        _started[child.pid] = child
        return cls(name, child.pid, born(child.pid) or "ended", runs)

    @property
    def alive(self) -> bool:
        return born(self.pid) == self.born

    def works_in(self, home: Path) -> bool:
        """Every edge works in its home, also when the home was moved under it. Raises OSError when the system does
        not show it: the process ended, or is a Caddy with a capability of its own.
        """
        return Path(f"/proc/{self.pid}/cwd").samefile(home)

    def end(self, *, within: float) -> None:
        """SIGTERM, and SIGKILL when it has not gone within so many seconds."""
        for number, patience in ((signal.SIGTERM, within), (signal.SIGKILL, 5.0)):
            if not self.alive:
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
            deadline = time.monotonic() + patience
            while self.alive and time.monotonic() < deadline:
                time.sleep(0.01)


@dataclass(frozen=True)
class Record:
    """`run/edge.json`. `asked` says which addresses were wanted (port 0: any), `listen` and `tls` what they became.

    `leaving` are processes that another has followed; they are ended before anything else is done.
    """

    driver: str
    version: str
    asked: str
    listen: str
    processes: tuple[Running, ...] = ()
    leaving: tuple[Running, ...] = ()
    tls: Tls | None = None

    def alive(self) -> tuple[Running, ...]:
        return tuple(one for one in self.processes if one.alive)

    def named(self, name: str) -> Running | None:
        return next((one for one in self.alive() if one.name == name), None)

    def belongs_to(self, home: Path) -> bool:
        """Not when it came with a copy of a home: then what it names serves the original."""
        for one in self.alive() + tuple(one for one in self.leaving if one.alive):
            with contextlib.suppress(OSError):
                if not one.works_in(home):
                    return False
        return True

    def write(self, path: Path) -> None:
        durable.write_file(path, json.dumps(asdict(self), indent=1).encode(), mode=0o600)

    @classmethod
    def read(cls, path: Path) -> Record | None:
        """None when there is none, or what is there is no record: then nothing in it can be trusted."""
        try:
            data = json.loads(path.read_bytes())
            processes, leaving = (
                tuple(Running(one["name"], int(one["pid"]), one["born"], one["runs"]) for one in data[key])
                for key in ("processes", "leaving")
            )
            tls = Tls(**data["tls"]) if data.get("tls") else None
            return cls(
                data["driver"], data["version"], data["asked"], data["listen"], processes, leaving, tls
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


def strays(home: Path, module: str, known: tuple[Running, ...]) -> Iterator[Running]:
    """Edges of this home that no record names: their starter was killed before it could write one."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in {one.pid for one in known}:
            continue
        try:
            argv = [os.fsdecode(word) for word in (entry / "cmdline").read_bytes().split(b"\0")]
            is_edge = module in argv or (Path(argv[0]).name, *argv[1:2]) == ("caddy", "run")
            stray = Running("stray", int(entry.name), born(int(entry.name)) or "ended")
            if is_edge and stray.works_in(home):
                yield stray
        except OSError:
            continue


def born(pid: int) -> str | None:
    """None when no such process runs. A zombie does not, once no thread of it is left to hold its files."""
    child = _started.get(pid)
    if child is not None and child.poll() is not None:
        _started.pop(pid, None)
    try:
        # proc(5): 3 state, 20 threads, 22 start; the name before them may hold anything, so count from its end
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    ended = fields[0] in (b"Z", b"X") and int(fields[17]) <= 1
    return None if ended else f"{boot}/{fields[19].decode()}"
