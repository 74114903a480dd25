"""Releases of an app come and go, and afterwards everything is counted."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import pytest
from crash_ground import SITE, Mortal, assert_agreed, assert_settled
from support import Project, eventually
from test_app_kill_sweep import app, caddies, deploy, keepers, programs  # noqa: F401 (app is a fixture)

MORE = 6
"""Descriptors that may have been added: a thread opens the ledger at its first use, an edge keeps a few connections."""


@pytest.mark.parametrize("server", ["embedded", pytest.param("caddy", marks=pytest.mark.soak)], indirect=True)
@pytest.mark.parametrize("releases", [pytest.param(50, marks=pytest.mark.soak)])
def test_nothing_piles_up(server, app, releases):  # noqa: F811
    for turn in range(3):
        switch(server, app, turn)
    alone(server)
    before, open_before = counted(server), descriptors(server)
    for turn in range(releases):
        switch(server, app, turn)
    alone(server)
    live = assert_agreed(server, app)
    assert_settled(server)
    assert counted(server) == before
    assert live.release > releases
    assert all(count <= open_before[name] + MORE for name, count in descriptors(server).items()), (
        open_before,
        descriptors(server),
    )


def switch(server: Mortal, project: Project, turn: int) -> None:
    """Two of three are pushes, the third goes back."""
    pushed = project.push("HEAD:rollback/previous") if turn % 3 == 2 else deploy(project)
    assert pushed.ok, pushed.out
    assert server.get(SITE).status == 200


def alone(server: Mortal) -> None:
    """Wait until what has been left is gone: its folder stays for ten seconds."""
    slots = server.home / "sites" / SITE / "production/slots"
    eventually(lambda: len(list(slots.glob("*/state.json"))) == len(keepers(server)) == 1, seconds=40)
    eventually(lambda: len(programs(server)) == 2)


def counted(server: Mortal) -> dict[str, int]:
    """What a release that was left could have left behind."""
    inside = members(server)
    held = {inode for pid in [*inside, server.daemon] for inode in sockets(pid)}
    kept = server.home / "sites" / SITE / "production"
    return {
        "processes": len(inside),
        "port claims": sum(
            b"@gitdeploy-port-" in line and line.split()[6] in held for line in unix_sockets()
        ),
        "sockets": len([one for one in server.home.rglob("*") if one.is_socket()]),
        "pipes": len([one for one in server.home.rglob("*") if one.is_fifo()]),
        "folders": len([one for one in kept.rglob("*") if one.is_dir() and not one.is_symlink()]),
        "builds": len(list(server.home.glob("work/*"))),
        "logs": len(list((server.home / "logs/apps").rglob("*"))),
        "control groups": len(groups(server)),
    }


def descriptors(server: Mortal) -> dict[str, int]:
    edges = [pid for pid in members(server) if b"gitdeploy.runtime.edge" in command(pid)]
    return {
        "the daemon": opened(server.daemon),
        "the embedded edge": sum(map(opened, edges)),
        "Caddy": sum(map(opened, caddies(server))),
    }


def opened(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def members(server: Mortal) -> list[int]:
    """The processes that are at work somewhere in the home: edges, keepers, programs."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if (entry / "cwd").readlink().is_relative_to(server.home):
                    found.append(int(entry.name))
    return found


def sockets(pid: int) -> list[bytes]:
    """The inodes of the sockets that a process has open."""
    found = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(bytes(fd.readlink()))
    return [one[8:-1] for one in found if one.startswith(b"socket:[")]


def unix_sockets() -> list[bytes]:
    """Their lines in proc(5): the 7th word is the inode, the 8th the path if there is one."""
    return Path("/proc/net/unix").read_bytes().splitlines()[1:]


def command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def groups(server: Mortal) -> list[Path]:
    """Those of any slot that production has had."""
    slots = (server.home / "sites" / SITE / "production/slots").resolve()
    keys = [hashlib.sha256(bytes(slots / f"r{number}")).hexdigest()[:16] for number in range(200)]
    named = Path("/sys/fs/cgroup").rglob("gitdeploy-app-*")
    return [one for one in named if one.is_dir() and one.name.split("-")[2] in keys]
