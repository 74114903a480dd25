"""Where systemd runs, the keeper of a slot is a unit of its own: it belongs to systemd alone, and of the home the
unit sees its own slot, data and logs. This module says how such a keeper is started; all else is the keeper's.

Asked by systemd-run, which hands its own stdin and stdout on: the order stands in no argument, property or file.
Each start has a name of its own, since what a killed keeper left running still holds the unit it was in.
"""

from __future__ import annotations

import os
import pwd
import re
import secrets
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gitdeploy import process
from gitdeploy.errors import Failed
from gitdeploy.process import Command
from gitdeploy.runtime.apps.order import Order
from gitdeploy.runtime.apps.place import App

_ROOM = 180  # characters of a unit's name for site, environment and slot; all of it may have 255

_NO_NAMESPACES = (217, 218, 226)  # systemd.exec(5): EXIT_USER, EXIT_CAPABILITIES, EXIT_NAMESPACE
_ALWAYS = (
    "Delegate=yes",  # each copy of a program has a control group within, with its bounds
    "TasksMax=infinity",
    "KillMode=process",  # the keeper ends its programs; those of a killed one are taken over by the next
    "OOMPolicy=continue",
    "NoNewPrivileges=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap",
    "SystemCallErrorNumber=EPERM",
)
# Nothing here hides a part of /proc (ProtectKernelTunables does): the kernel would keep bubblewrap from showing a
# new /proc within, and a container's own boot id, by which processes are known, would be another one in the unit.
_CONFINED = (
    "ProtectSystem=strict",
    "ProtectHome=tmpfs",
    "PrivateDevices=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "ProtectKernelModules=yes",
    *(f"TemporaryFileSystem={one}:mode=1777,nosuid,nodev" for one in ("/tmp", "/var/tmp", "/dev/shm")),
)
_OF_USER = ("PrivateUsers=yes",)
"""Without it a user's systemd leaves out most of the rest, and does not say so."""


@dataclass(frozen=True)
class Manager:
    """Which systemd starts units for us: `system`, `user`, or `none`. Units that are not `confined` see what we see.
    `why_not` and `hint`: what is missing, and what to do.
    """

    kind: str
    confined: bool = False
    why_not: str = ""
    hint: str = ""

    @property
    def runs(self) -> bool:
        return self.kind != "none"

    @property
    def properties(self) -> tuple[str, ...]:
        if not self.confined:
            return _ALWAYS
        return (*_ALWAYS, *(_OF_USER if self.kind == "user" else ()), *_CONFINED)

    def started(self, name: str, properties: Iterable[str], told: Mapping[str, str]) -> tuple[str, ...]:
        """What to put before a command to have it run as the unit `name`, with these variables."""
        return (
            *("systemd-run", f"--{self.kind}", "--quiet", "--pipe", "--collect", "--service-type=exec"),
            *("--slice=gitdeploy.slice", f"--unit={name}"),
            *(f"--setenv={key}={value}" for key, value in told.items()),
            *(f"--property={one}" for one in (*self.properties, *properties)),
            "--",
        )

    @property
    def door(self) -> dict[str, str]:
        """Where a user's systemd is reached; the daemon, a service, was not told."""
        return {"XDG_RUNTIME_DIR": f"/run/user/{os.geteuid()}"} if self.kind == "user" else {}


@lru_cache(maxsize=1)
def manager() -> Manager:
    """Asked once: by starting a unit as those of slots are."""
    if not Path("/run/systemd/system").is_dir():
        return Manager("none", why_not="systemd does not run here")
    user = _user()
    if os.geteuid() != 0 and not Path("/var/lib/systemd/linger", user).exists():
        hint = f"Run as root: loginctl enable-linger {user}"
        return Manager("none", why_not=f"the systemd of {user} ends when {user} logs out", hint=hint)
    kind = "system" if os.geteuid() == 0 else "user"
    trouble = _trouble(Manager(kind, confined=True))
    if not trouble:
        return Manager(kind, confined=True)
    unconfined = Manager(kind, why_not=trouble, hint="Let users have namespaces: see docs/apps.md.")
    trouble = _trouble(unconfined)
    return unconfined if not trouble else Manager("none", why_not=trouble, hint="See docs/apps.md.")


def as_unit(command: Command, app: App, order: Order) -> Command:
    """The command of a keeper, run in a unit of its own. What comes out waits until the unit has ended, and may be
    ended itself at any time.
    """
    data = order.spec.environment.get("GITDEPLOY_DATA")
    own = [app.folder, Path(order.logs), *([Path(data)] if data else [])]
    longest = max(one.stop_timeout for one in order.spec.programs.values())
    properties = [
        f"TimeoutStopSec={2 * longest + 30}",
        f"Description=gitdeploy: {app.site} {app.env} {app.slot}",
        f"WorkingDirectory={command.cwd}",
    ]
    if manager().confined:
        properties += [
            f"TemporaryFileSystem={_word(app.home.root.resolve())}",
            *(f"BindReadOnlyPaths={_word(one)}" for one in (*_shown(), Path(order.layout))),
            *(f"BindPaths={_word(one.resolve())}" for one in own),
        ]
    told = {name: one for name, one in process.base_env().items() if name != "TMPDIR"}
    prefix = manager().started(unit_name(app), properties, told)
    return Command((*prefix, *command.argv), env=manager().door)


def unit_name(app: App) -> str:
    """Unlike any other on the machine, and telling of the slot as much as fits."""
    said = re.sub(r"[^A-Za-z0-9._-]", "_", f"{app.site}-{app.env}-{app.slot}")
    return f"gitdeploy-app-{said[:_ROOM]}-{secrets.token_hex(4)}"


# Private


def _trouble(manager: Manager) -> str:
    """Why it starts no such unit; "" when it does."""
    prefix = manager.started(f"gitdeploy-trial-{secrets.token_hex(4)}", (), {})
    try:
        done = process.run(Command((*prefix, "/bin/true"), env=manager.door), timeout=20)
    except Failed as error:
        return error.message.rstrip(".")
    if done.code == 0:
        return ""
    if done.code in _NO_NAMESPACES:
        return f"{_user()} may make no namespaces (exit code {done.code})"
    said = done.err.decode(errors="replace").strip().splitlines() or [f"exit code {done.code}"]
    return f"systemd-run: {said[-1]}"


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _shown() -> list[Path]:
    """Where we, our Python and the programs of PATH lie, which units may not see otherwise."""
    home = Path(os.environ.get("HOME", "/"))
    shown = {Path(sys.prefix), Path(sys.base_prefix), Path(__file__).resolve().parents[3]}
    for entry in map(Path, os.get_exec_path()):
        if (
            entry.is_absolute() and entry.is_dir()
        ):  # of ~/.cargo/bin only the programs: beside them is private
            shown.add(
                entry if entry.parent == home or entry.parent.parent in (home, Path("/")) else entry.parent
            )
    return sorted(one for one in shown if not one.is_relative_to("/usr") and one != Path("/"))


def _word(path: Path) -> str:
    """As systemd reads a path among others: systemd.syntax(7), and a colon would divide it."""
    text = re.sub(r'(["\\:])', r"\\\1", str(path))
    return f'"{text}"'
