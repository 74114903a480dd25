"""A program sees the system, its release and what is its own; of the machine's secrets and of gitdeploy's nothing."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from apps_support import Slots, alive, get, keeper_of, until
from support import share_package, without_bubblewrap

from gitdeploy.domain.app import Check, Program
from gitdeploy.runtime.apps import launch
from gitdeploy.runtime.apps.confine import Sight, why_not
from gitdeploy.runtime.apps.family import MARK, Family
from gitdeploy.runtime.apps.launch import Ground

STRANGER = 54321
USERS = [os.geteuid()] if os.geteuid() else [0, STRANGER]


@dataclass
class Machine:
    """A home whose files anybody may read and write, so that it is not their modes that keep a program out."""

    uid: int
    top: Path
    home: Path
    data: Path
    doors: list[socket.socket] = field(default_factory=list)

    def file(self, name: str) -> str:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("secret")
        return str(path)

    def door(self, path: Path) -> str:
        self.doors.append(socket.socket(socket.AF_UNIX))
        self.doors[-1].bind(str(path))
        self.doors[-1].listen()
        path.chmod(0o666)
        return str(path)

    def give(self) -> None:
        for path in (self.top, *self.top.rglob("*")):
            os.chown(path, self.uid, self.uid)
            path.chmod(path.stat().st_mode | (0o777 if path.is_dir() else 0o666))

    def look(self, **asked: list[Any]) -> dict[str, list[Any]]:
        """What of all that a program could do."""
        self.give()
        names = ("reads", "writes", "connects", "signals", "seen", "mounts")
        wanted = json.dumps({name: asked.get(name, []) for name in names})
        script = str(self.top / "visitor_of_slots.py")
        argv = [str(self.top / "venv/bin/python"), script, str(self.home), str(self.data), wanted]
        if self.uid != os.geteuid():
            as_uid = ["setpriv", "--reuid", str(self.uid), "--regid", str(self.uid), "--clear-groups"]
            argv = [*as_uid, "--inh-caps=-all", *argv]
        done = subprocess.run(
            argv, env={"PATH": os.defpath, "HOME": "/nonexistent"}, cwd=self.top,
            capture_output=True, text=True,
        )  # fmt: skip
        found = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
        assert done.returncode == 0 and found, done.stdout + done.stderr
        said: dict[str, list[Any]] = json.loads(found[0].removeprefix("FOUND "))
        return said


@pytest.fixture(params=USERS, ids=str)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    top = Path(tempfile.mkdtemp(dir="/tmp", prefix="gd-"))
    share_package(top)
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", str(top / "venv")], check=True)
    (packages,) = (top / "venv/lib").glob("*/site-packages")
    (packages / "gitdeploy.pth").write_text(str(top))
    for name in ("look_around.py", "visitor_of_slots.py"):
        shutil.copy(Path(__file__).with_name(name), top)
    made = Machine(request.param, top, top / "home", top / "home/sites/blog/production/data")
    made.data.mkdir(parents=True)
    made.give()
    yield made
    for one in made.doors:
        one.close()
    shutil.rmtree(top)


def test_nothing_of_the_home_is_seen_but_its_own(machine: Machine) -> None:
    names = (
        *("ledger.db", "keys/signing", "repos/blog.git/HEAD", "store/blobs/ab/abc", "server.toml"),
        *("sites/shop/production/data/orders.db", "sites/blog/staging/data/orders.db", "logs/access.log"),
        *("sites/blog/production/slots/r0/app/config.py", "sites/blog/production/password", "caddy/key"),
    )
    files = [machine.file(name) for name in names]
    folders = sorted({str(Path(one).parent) for one in files} - {str(machine.home)})
    own = machine.file("sites/blog/production/data/own.db")
    found = machine.look(reads=[*files, own], writes=folders)
    assert found["reads"] == [own]
    assert not set(found["writes"]) & set(folders)


def test_the_daemon_and_the_keeper_cannot_be_talked_to(machine: Machine) -> None:
    (machine.home / "run").mkdir()
    doors = [machine.door(machine.home / "run/daemon.sock")]
    control = str(machine.home / "sites/blog/production/slots/r1/control.sock")
    assert machine.look(connects=[*doors, control])["connects"] == []


def test_databases_of_the_machine_can(machine: Machine) -> None:
    with ExitStack() as stack:
        door = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        doors: list[Any] = [list(door.getsockname())]
        if os.geteuid() == 0:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/run", prefix="gd-")))
            folder.chmod(0o755)
            doors += [machine.door(folder / "s"), str(Path("/var/run", folder.name, "s"))]
        assert machine.look(connects=doors)["connects"] == doors


def test_other_processes_are_out_of_sight_and_reach(machine: Machine) -> None:
    argv = ["sleep", "3607"]
    if os.geteuid() == 0:
        user = launch.app_user()
        uid = machine.uid or (user.uid if user else 0)
        argv = ["setpriv", "--reuid", str(uid), "--clear-groups", "--inh-caps=-all", *argv]
    bystander = subprocess.Popen(argv, env={"WANTED": "17", "PATH": os.defpath})
    try:
        found = machine.look(signals=[bystander.pid, os.getpid()], seen=[17])
        assert found["signals"] == [] and found["seen"] == []
    finally:
        bystander.kill()
        bystander.wait()


def test_it_writes_into_what_is_its_own_and_nowhere_else(machine: Machine) -> None:
    slot = machine.home / "sites/blog/production/slots/r1"
    mine = [str(machine.data), str(slot / "own/home"), str(slot / "own/tmp"), "/tmp", "/var/tmp", "/dev/shm"]
    outside = ["/", "/etc", "/usr", "/run", "/var", "/dev", "/sys", "/home", str(slot), str(slot.parent)]
    outside += [str(machine.home), f"{slot}-files"]
    assert machine.look(writes=[*mine, *outside])["writes"] == mine
    assert (machine.data / "written").read_text() == "x"
    assert not any(Path(one, "written").exists() for one in (*mine[3:], *outside, machine.top))


def test_people_and_their_files_are_not_there(machine: Machine) -> None:
    closed = ["/root", "/home", "/srv", "/mnt", "/var/lib", "/var/log"]
    system = ["/etc/passwd", "/usr/bin/env"]
    with ExitStack() as stack:
        for place in ("/var/tmp", *(("/run/user", "/run/credentials") if os.geteuid() == 0 else ())):
            Path(place).mkdir(exist_ok=True)
            beside = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=place)))
            beside.chmod(0o777)
            (beside / "secret").write_text("secret")
            closed.append(str(beside / "secret"))
        assert machine.look(reads=[*closed, *system])["reads"] == system


def test_what_covers_the_home_cannot_be_taken_away(machine: Machine) -> None:
    assert machine.look(mounts=[str(machine.home), "/proc", "/run/user"])["mounts"] == []


def test_each_kind_of_program_is_confined(slots: Slots) -> None:
    line = '[ "$(cat /proc/1/comm)" = bwrap ]'
    app = slots.healthy(worker=f"{line} && echo confined; exec sleep 3609")
    until(lambda: "confined" in slots.log(app, "worker.1"))
    assert slots.driver.run(app, line, name="once", within=20) == 0
    slots.driver.wait_healthy(app, Check(command=line))
    assert json.loads(get(app, "/who")[1])["status"].count("NSpid:\t2\n") == 1


@pytest.mark.parametrize("grouped", [True, False], ids=["control group", "mark"])
def test_sigterm_finds_nothing_that_survives_it_however_early_it_comes(slots: Slots, grouped: bool) -> None:
    """While bubblewrap is still at work there is no program that could hear of it."""
    layout = slots.layout()
    own = slots.home.root / "own"
    (own / "tmp").mkdir(parents=True)
    ground = Ground(layout, own, launch.app_user(), {}, Sight(slots.home.root, layout, own))
    for delay in range(0, 24, 2):
        group = launch.group(f"gitdeploy-app-early-{os.getpid()}-{delay}", 0) if grouped else None
        family = Family(f"early-{os.getpid()}/{delay}", group)
        child = launch.spawn("exec sleep 3610", ground, group, 0, {MARK: family.mark}, 1)
        time.sleep(delay / 1000)
        family.terminate()
        until(lambda: child.poll() is not None and not family.pids(), 5)  # noqa: B023
        family.remove()


def test_a_program_hears_sigterm_and_may_finish(slots: Slots) -> None:
    line = "trap 'echo finishing; sleep 0.3; echo finished; exit 0' TERM; echo begun; while :; do sleep 0.05; done"
    app = slots.start(None, worker=line)
    until(lambda: "begun" in slots.log(app, "worker.1"))
    begin = time.monotonic()
    slots.driver.drain(app)
    assert slots.log(app, "worker.1").endswith("| finished") and time.monotonic() - begin < 10


def test_a_program_whose_keeper_was_killed_hears_it_too(slots: Slots) -> None:
    data = slots.home.root / "data"
    data.mkdir()
    data.chmod(0o777)
    line = "trap 'echo bye >\"$GITDEPLOY_DATA/said\"; exit 0' TERM; echo begun; while :; do sleep 0.05; done"
    app = slots.start(None, env={"GITDEPLOY_DATA": str(data)}, worker=line)
    until(lambda: "begun" in slots.log(app, "worker.1"))
    keeper, pid = keeper_of(app), slots.pids(app)[0]
    os.kill(keeper, 9)
    until(lambda: not alive(keeper))
    assert alive(pid)
    slots.driver.drain(app)
    assert (data / "said").read_text() == "bye\n" and not alive(pid)


def test_how_a_program_ended_is_told_as_if_nothing_stood_around_it(slots: Slots) -> None:
    for line, how in (
        ("kill -9 $$", "by SIGKILL"),
        ("exit 200", "with exit code 200"),
        ("exit 3", "with exit code 3"),
    ):
        app = slots.start(None, worker=Program(line))
        until(lambda: slots.driver.status(app).copies[0].last)  # noqa: B023
        assert slots.driver.status(app).copies[0].last == f"ended {how}"
        slots.driver.drain(app)


def test_apps_run_without_bubblewrap_too_and_it_is_said(
    slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", without_bubblewrap(slots.home.root / "tools"))
    why_not.cache_clear()
    try:
        assert "bubblewrap is not installed" in slots.driver.why_unconfined()
        app = slots.healthy()
        assert "bwrap" not in Path(f"/proc/{slots.pids(app)[0]}/comm").read_text()
        assert get(app)[0] == 200
        slots.driver.drain(app)
    finally:
        why_not.cache_clear()
