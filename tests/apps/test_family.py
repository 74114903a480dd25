"""Where no control group can be made, a copy's processes are told by a mark that they inherit."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid

from apps_support import alive

from gitdeploy.runtime.apps.family import MARK, Family, end_strangers
from gitdeploy.runtime.apps.record import CopyRecord


def forking(key: str, name: str) -> list[int]:
    """A program that leaves its session, and its child that does so once more."""
    line = "for _ in 1 2; do setsid sleep 3611 >/dev/null & echo $!; done"
    done = subprocess.run(
        ["setsid", "sh", "-c", line], env={MARK: f"{key}/{name}", "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    return [int(pid) for pid in done.stdout.split()]


def gone(pids: list[int]) -> bool:
    return not any(alive(pid) for pid in pids)


def test_a_family_is_whole_without_a_control_group() -> None:
    key = uuid.uuid4().hex
    mine, others = forking(key, "web.1"), forking(key, "web.10")
    family = Family(f"{key}/web.1", None)
    assert family.pids() == set(mine)
    assert asyncio.run(family.kill())
    assert gone(mine) and not gone(others)
    assert end_strangers(key, ())
    assert gone(others)


def test_strangers_are_all_that_is_not_known() -> None:
    key = uuid.uuid4().hex
    known, stranger = forking(key, "web.1"), forking(key, "health")
    assert end_strangers(key, [CopyRecord("web.1", "running")])
    assert gone(stranger) and not gone(known)
    assert end_strangers(key, ())
    assert gone(known)


def test_what_was_killed_has_ended_though_it_lost_its_mark_before() -> None:
    """Giving back much memory takes a while, in which a process has no environment any more."""
    key = uuid.uuid4().hex
    line = "import time; big = bytearray(300 << 20); print('ready', flush=True); time.sleep(3600)"
    big = subprocess.Popen(
        [sys.executable, "-c", line], env={MARK: f"{key}/web.1"}, stdout=subprocess.PIPE
    )  # fmt: skip
    assert big.stdout and big.stdout.readline() == b"ready\n"
    assert end_strangers(key, ())
    assert not alive(big.pid)
    big.communicate()
