"""Commands are values: what would be started can be read without starting it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import share_package

from gitdeploy import bubblewrap, process
from gitdeploy.build import sandbox
from gitdeploy.build.sandbox import BUBBLEWRAP, NONE, PROCESSES, Place
from gitdeploy.process import Command
from gitdeploy.user import User, told

PLACE = Place(Path("/home/w"), Path("/home/c"), Path("/home/t"))
BUILDER = User(1234, 1235, "gitdeploy-build")


def wrapped(user: User | None = BUILDER, *, network: bool = False) -> list[str]:
    command = sandbox.bubblewrapped(Command(("make", "x")), PLACE, user, folder="site", network=network)
    return [Path(command.argv[0]).name, *command.argv[1:]]


def test_the_build_gets_its_own_folders_and_starts_in_its_root() -> None:
    argv = " ".join(wrapped())
    for bind in (
        "--bind /home/w /build",
        "--bind /home/c /cache",
        "--bind /home/t /tmp",
        "--chdir /build/site",
    ):
        assert bind in argv
    assert "--ro-bind / /" not in argv


def test_the_network_is_shared_only_when_allowed() -> None:
    assert "--unshare-net" in wrapped() and "--unshare-net" not in wrapped(network=True)


def test_a_daemon_that_is_root_gives_way_to_the_builds_user_inside() -> None:
    argv = wrapped()
    inner = argv[argv.index("--") + 1 :]
    assert Path(inner[0]).name == "setpriv"
    assert " ".join(inner[1:]) == (
        "--reuid 1234 --regid 1235 --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs "
        "--pdeathsig KILL make x"
    )
    assert "--unshare-user" not in argv
    assert "--unshare-user" in wrapped(None) and "--cap-add" not in wrapped(None)


def test_the_environment_is_in_no_argument_list() -> None:
    command, stdin = told(Command(("make",)), {"B": "it's\n$x", "A": ""}, name="build")
    assert not any("it's" in word for word in command.argv)
    assert stdin == b"export A=''\nexport B='it'\"'\"'s\n$x'\n"
    shown = process.check(Command(("/bin/sh", "-c", '. /dev/stdin && printf %s "$B"')), stdin=stdin)
    assert shown.out == b"it's\n$x"


def test_what_cannot_join_its_group_is_not_started(tmp_path: Path) -> None:
    command = sandbox.guarded(Command(("touch", str(tmp_path / "started"))), [tmp_path / "no-group"], {})
    assert process.run(command).code == 125
    assert not (tmp_path / "started").exists()


def test_a_guarded_command_is_bounded_and_stands_behind() -> None:
    line = "ulimit -f; nice; cat /proc/self/oom_score_adj"
    shown = process.check(sandbox.guarded(Command(("sh", "-c", line)), [], {"fsize": 512 * 100}))
    assert shown.text.split() == ["100", str(os.nice(0) + 10), "500"]


def test_tools_are_shown_and_private_folders_are_not(tmp_path: Path) -> None:
    home = tmp_path / "person"
    for folder in (
        "opt/node/bin",
        "person/.cargo/bin",
        "person/.nvm/v20/bin",
        "person/bin",
        "person/.pyenv/shims",
    ):
        (tmp_path / folder).mkdir(parents=True)
    entries = ["/usr/bin", "/bin", "", "bin", f"{tmp_path}/missing/bin"]
    entries += [f"{tmp_path}/opt/node/bin", f"{home}/.cargo/bin", f"{home}/.nvm/v20/bin", f"{home}/bin"]
    entries += [f"{home}/.pyenv/shims", f"{tmp_path}/opt/node/bin"]
    assert bubblewrap.toolchains(":".join(entries), home) == [
        tmp_path / "opt/node",
        home / ".cargo/bin",
        home / ".nvm/v20",
        home / "bin",
    ]


@pytest.fixture
def anyones() -> Iterator[Path]:
    """A folder with the package in it, where somebody without any right can work."""
    top = Path(tempfile.mkdtemp(dir="/tmp"))
    (top / "work").mkdir()
    share_package(top)
    yield top
    shutil.rmtree(top)


@pytest.mark.parametrize("level", [BUBBLEWRAP, PROCESSES, NONE])
def test_a_daemon_without_rights_builds_as_itself(anyones: Path, level: str) -> None:
    script = (
        "import sys, threading; from pathlib import Path\n"
        "from gitdeploy.build import builder, sandbox\n"
        "from gitdeploy.domain.recipe import Recipe, shell\n"
        "top, level = Path(sys.argv[1]), sys.argv[2]\n"
        "assert sandbox.isolation().level == 'bubblewrap', sandbox.isolation()\n"
        "line = 'id -u; mkdir out; touch out/a; setsid sleep 54321 & ls /proc/1/root/tmp; true'\n"
        "builder.build(Recipe('command', '', (shell(line),), 'out'), top / 'work', top / 'cache',\n"
        "              lambda data: print(data.decode(), end=''), threading.Event(),\n"
        "              isolation=sandbox.Isolation(level, 'for the test'))\n"
    )
    argv = ("/usr/bin/python3", "-c", script, str(anyones), level)
    nobody = ("setpriv", "--reuid", "54321", "--regid", "54321", "--clear-groups", "--inh-caps=-all")
    done = subprocess.run(
        (*nobody, *argv),
        env={"PATH": os.defpath, "PYTHONPATH": str(anyones)},
        capture_output=True,
        text=True,
        cwd=anyones,
    )
    assert done.returncode == 0, done.stderr
    assert "\n54321\n" in done.stdout
    assert ("as " in done.stdout.splitlines()[0]) is False
    assert (anyones / "work/out/a").stat().st_uid == 54321
    assert not [
        path for path in Path("/proc").glob("[0-9]*/cmdline") if path.read_bytes() == b"sleep\x0054321\0"
    ]
