"""What holds only where keepers are units of systemd. Run by tests/systemd, in a machine where it is PID 1."""

from __future__ import annotations

import itertools
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from apps_support import Slots, get, keeper_of, until

from gitdeploy import process
from gitdeploy.domain.app import Check
from gitdeploy.process import Command
from gitdeploy.runtime.apps import unit
from gitdeploy.store.home import Home

_numbers = itertools.count(1)


def units(pattern: str = "gitdeploy-app-*") -> list[str]:
    own = [] if os.geteuid() == 0 else ["--user"]
    done = subprocess.run(
        ["systemctl", *own, "list-units", "--all", "--plain", "--no-legend", pattern],
        env={**os.environ, "XDG_RUNTIME_DIR": f"/run/user/{os.geteuid()}"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


def group_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cgroup").read_text().splitlines()[-1]


def ran(slots: Slots, app, line: str) -> str:
    """What a shell line says that runs as a program of the slot, and how it ends."""
    name = f"try-{next(_numbers)}"
    code = slots.driver.run(app, line, name=name, within=30)
    return "\n".join(slots.driver.said(app, name)) + f"\nexit {code}"


@pytest.fixture
def filled(slots: Slots, request: pytest.FixtureRequest) -> Slots:
    """A home with what an app must not see, where units hide nothing else; its path is an odd one."""
    home = Path(tempfile.mkdtemp(dir="/srv")) / 'a "home", 100% its own'
    request.addfinalizer(lambda: shutil.rmtree(home.parent, ignore_errors=True))
    slots.home = Home(home)
    for name in ("keys/signing", "run/api.sock", "repos/blog.git/HEAD", "ledger.db", "store/blobs/ab/cd",
                 "sites/blog/production/slots/other/secret", "sites/shop/production/data/secret"):  # fmt: skip
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("secret of the home")
    for folder in (home.parent, home, *(one for one in home.rglob("*") if one.is_dir())):
        folder.chmod(0o755)
    (home / "sites/blog/production/data").mkdir(mode=0o777)
    (home / "sites/blog/production/data").chmod(0o777)
    return slots


def test_here_keepers_are_units() -> None:
    assert unit.manager() == unit.Manager("system" if os.geteuid() == 0 else "user", confined=True)


def test_a_slot_is_a_unit_of_its_own_and_leaves_none_behind(slots: Slots) -> None:
    app = slots.healthy(slot="v1.2_x")
    (shown,) = units("gitdeploy-app-blog-production-v1.2_x-*")
    assert "loaded active running gitdeploy: blog production v1.2_x" in shown
    for pid in (keeper_of(app), *slots.pids(app)):
        assert f"/gitdeploy.slice/{shown.split()[0]}/" in group_of(pid)
    assert not [one for one in Path("/proc").glob("[0-9]*/comm") if read(one) == "systemd-run\n"]
    slots.driver.drain(app)
    until(lambda: not units("gitdeploy-app-blog-production-v1.2_x-*"))


def test_one_whose_keeper_was_killed_goes_when_its_last_program_has_ended(slots: Slots) -> None:
    layout = slots.layout()
    app = slots.healthy(slot="killed", layout=layout)
    os.kill(keeper_of(app), 9)
    until(lambda: "failed" in "".join(units("gitdeploy-app-blog-production-killed-*")))
    assert slots.driver.status(app).state == "lost"
    slots.start(slot="killed", layout=layout)
    slots.driver.wait_healthy(app, Check())
    assert len(units("gitdeploy-app-blog-production-killed-*")) == 2
    slots.driver.drain(app)
    until(lambda: not units("gitdeploy-app-blog-production-killed-*"))


def test_a_keeper_that_cannot_start_says_why_and_leaves_no_unit(slots: Slots) -> None:
    layout = slots.layout()
    app = slots.healthy(slot="held", layout=layout)
    (app.folder / "state.json").rename(app.folder / "hidden")
    with pytest.raises(Exception, match="could not be started: the slot is run by another process"):
        slots.start(slot="held", layout=layout)
    (app.folder / "hidden").rename(app.folder / "state.json")
    assert len(units("gitdeploy-app-blog-production-held-*")) == 1


def test_an_app_sees_of_the_home_its_own_and_nothing_else(filled: Slots) -> None:
    data = filled.home.root / "sites/blog/production/data"
    app = filled.healthy(env={"GITDEPLOY_DATA": str(data)})
    (filled.home.root / "sites/blog/production/slots/later").mkdir()
    home = shlex.quote(str(filled.home.root))
    seen = ran(filled, app, f'cd {home} && find . -maxdepth 5 -not -path "./layouts/*" | sort; true')
    assert "other" not in seen and "later" not in seen and "shop" not in seen
    assert set(ran(filled, app, f"ls {home}").split()[:-2]) == {"layouts", "logs", "sites"}
    assert "secret of the home" not in ran(filled, app, f"grep -r . {home} 2>&1")
    assert ran(filled, app, 'echo kept >"$GITDEPLOY_DATA/file"').endswith("exit 0")
    assert (data / "file").read_text() == "kept\n"
    assert get(app)[0] == 200


def test_an_app_writes_nowhere_else(filled: Slots) -> None:
    app = filled.healthy()
    for folder in ("/usr", "/etc", "/run/lock", "$PWD", "/sys/kernel", "/dev"):
        said = ran(filled, app, f'touch "{folder}/new" && echo wrote')
        assert "wrote" not in said and "exit 1" in said
    private = [Path("/tmp/new"), Path("/var/tmp/new"), Path("/dev/shm/new")]
    assert "wrote" in ran(
        filled, app, f'touch "$HOME/new" "$TMPDIR/new" {" ".join(map(str, private))} && echo wrote'
    )
    assert not [one for one in private if one.exists()]


def test_what_a_unit_may_do_is_little(slots: Slots) -> None:
    app = slots.healthy()
    status = ran(slots, app, "cat /proc/self/status")
    assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status
    assert Path("/home/ana").is_dir() and "ana" not in ran(slots, app, "ls /home")
    assert "ro" in ran(slots, app, "grep ' / ' /proc/self/mounts").split()[3].split(",")
    assert "noexec" in ran(slots, app, "grep ' /dev ' /proc/self/mounts")
    assert "exit 1" in ran(slots, app, "chmod u+s $HOME 2>&1") and "exit 1" in ran(
        slots, app, "date -s 1999-01-01"
    )
    keeper = Path(f"/proc/{keeper_of(app)}/status").read_text()
    assert "NoNewPrivs:\t1" in keeper and "Seccomp:\t2" in keeper


def test_bubblewrap_works_within_a_unit() -> None:
    manager = unit.manager()
    shown = (
        "bwrap",
        "--unshare-all",
        "--ro-bind",
        "/",
        "/",
        "--dev",
        "/dev",
        "--proc",
        "/proc",
        "ls",
        "/proc",
    )
    prefix = manager.started(f"gitdeploy-bubblewrap-{os.getpid()}", (), {})
    done = process.run(Command((*prefix, *shown), env=manager.door))
    assert done.code == 0 and done.text.startswith("1\n"), done


def test_the_systemd_that_started_it_cannot_be_asked_by_an_app(slots: Slots) -> None:
    app = slots.healthy()
    door = f"/run/user/{os.geteuid()}"
    asked = f"XDG_RUNTIME_DIR={door} systemd-run --user --collect --pipe /bin/true"
    assert "exit 1" in ran(slots, app, f"{asked} 2>&1")
    assert "exit 1" in ran(slots, app, "systemd-run --collect --pipe /bin/true 2>&1")


def read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
