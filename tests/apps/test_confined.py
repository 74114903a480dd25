"""An app has its own user and its own bounds, and its secrets are seen by nobody else."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path

import pytest
from apps_support import WEB, Slots, alive, get, keeper_of, until

from gitdeploy import cgroup
from gitdeploy.domain.app import MOST_PROCESSES, AppSpec, Check, Program
from gitdeploy.errors import Invalid
from gitdeploy.runtime.apps import launch
from gitdeploy.runtime.apps.launch import Ground
from gitdeploy.user import User


def test_a_secret_is_in_no_argument_list_and_no_file(slots: Slots) -> None:
    secret = "hunter2-of-the-shop"
    app = slots.healthy(env={"SECRET": secret}, worker="exec sleep 3606")
    pids = [*slots.pids(app), keeper_of(app)]
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert secret.encode() not in entry.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
    for file in slots.home.root.rglob("*"):
        if file.is_file():
            assert secret.encode() not in file.read_bytes()
    assert secret in get(app, "/env")[1]
    assert secret.encode() not in Path(f"/proc/{pids[-1]}/environ").read_bytes()


def test_an_app_runs_as_a_user_without_rights(slots: Slots) -> None:
    app = slots.healthy()
    who = json.loads(get(app, "/who")[1])
    status = dict(line.split(":\t", 1) for line in who["status"].splitlines() if ":\t" in line)
    assert status["NoNewPrivs"] == "1"
    if os.geteuid() == 0:
        assert pwd.getpwuid(who["uid"]).pw_name in ("gitdeploy-app", "nobody")
        assert status["Groups"].strip() == ""
        assert all(int(status[f"Cap{one}"], 16) == 0 for one in ("Inh", "Prm", "Eff", "Bnd"))


def test_an_app_writes_into_its_own_folders_and_nowhere_else(slots: Slots) -> None:
    lines = 'touch "$HOME/a" "$TMPDIR/b" && ! touch c && ! touch ../../r && ! cat ../../../keys/secret'
    (slots.home.root / "keys").mkdir(mode=0o700)
    (slots.home.root / "keys/secret").write_text("x")
    app = slots.healthy()
    (app.folder / "root").resolve().chmod(0o555)
    if os.geteuid() == 0:
        assert slots.driver.run(app, lines, name="try", within=20) == 0, slots.log(app, "try")


def test_what_the_configuration_does_to_programs_begins_after_the_rights_are_gone() -> None:
    ground = Ground(Path("/srv"), Path("/own"), User(7, 8, "x"), {"LD_PRELOAD": "evil.so", "PATH": "/evil"})
    command, stdin = launch.command("serve", ground, None, 0, {"PORT": "1"})
    assert command.env == {"PORT": "1"} and not any("evil" in word for word in command.argv)
    assert b"export LD_PRELOAD=evil.so\n" in stdin
    words = list(command.argv)
    assert words.index("--reuid") < next(at for at, word in enumerate(words) if "/proc/self/fd/0" in word)
    assert words[-3:] == ["/bin/sh", "-c", "serve"]


def test_want_of_memory_ends_the_program_that_wants_it_and_nothing_else(slots: Slots) -> None:
    app = slots.start(Program(WEB, count=2, memory=120 * 1024**2))
    slots.driver.wait_healthy(app, Check())
    pids, keeper = slots.pids(app), keeper_of(app)
    get(app, "/leak")
    until(lambda: any(one.restarts for one in slots.driver.status(app).copies), 60)
    assert get(app)[0] == 200
    died = next(one for one in slots.driver.status(app).copies if one.restarts)
    assert died.last == "ended by SIGKILL, for want of memory"
    assert alive(keeper) and len([pid for pid in pids if alive(pid)]) == 1


def test_memory_is_bounded_where_no_group_can_be_made(slots: Slots) -> None:
    ground = Ground(Path("/"), Path("/own"), None, {})
    assert f"--data={1 << 26}:{1 << 26}" in launch.command("x", ground, None, 1 << 26, {})[0].argv
    bound = cgroup.Group((), memory=True, processes=True)
    assert not any("--data" in word for word in launch.command("x", ground, bound, 1 << 26, {})[0].argv)


def test_processes_are_bounded(slots: Slots) -> None:
    app = slots.healthy()
    bomb = (
        "import threading as t, time\n"
        "for _ in range(%d): t.Thread(target=time.sleep, args=(9,), daemon=True).start()"
    )
    for threads, bounded in ((100, False), (MOST_PROCESSES + 10, True)):
        code = slots.driver.run(app, f"python3 -c '{bomb % threads}'", name="bomb", within=60)
        assert (code != 0) == bounded, slots.log(app, "bomb")
    assert get(app)[0] == 200


@pytest.mark.parametrize("name", ["A-B", "", "1A", "A=B", "A\n"])
def test_a_variable_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        AppSpec({"web": Program("x")}, {name: "1"})
