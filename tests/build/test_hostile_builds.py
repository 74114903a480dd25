"""Builds that hang, multiply, hide, fill what they can and look where they should not: all for real."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gitdeploy import cgroup
from gitdeploy.build import builder
from gitdeploy.build.builder import Canceled
from gitdeploy.build.sandbox import BUBBLEWRAP, NONE, PROCESSES, Isolation
from gitdeploy.build.transcript import MOST, TAIL
from gitdeploy.errors import Failed

LEVELS = [Isolation(BUBBLEWRAP), Isolation(PROCESSES, "for the test"), Isolation(NONE, "for the test")]


@pytest.fixture
def nap() -> str:
    """A `sleep` that can be told from all others."""
    return f"sleep 1{secrets.randbelow(10**8):08}"


def alive(command: str) -> list[int]:
    wanted = command.replace(" ", "\0").encode() + b"\0"
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_bytes() == wanted:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def failed(bench: Any, line: str, **more: Any) -> Failed:
    with pytest.raises(Failed) as error:
        bench.shell(line, **more)
    return error.value


@pytest.mark.parametrize("isolation", LEVELS, ids=lambda one: one.level)
def test_a_build_that_hangs_is_stopped(open_bench: Any, nap: str, isolation: Isolation) -> None:
    error = failed(open_bench, f"trap '' TERM INT HUP; {nap} & {nap}", timeout=1, isolation=isolation)
    assert error.message == "The build took longer than 1s."
    assert open_bench.text.endswith(
        "killed: the build took longer than 1s. Raise [build] timeout in gitdeploy.toml.\n"
    )
    assert not alive(nap)


@pytest.mark.parametrize("isolation", LEVELS, ids=lambda one: one.level)
def test_a_canceled_build_is_gone_when_it_says_so(open_bench: Any, nap: str, isolation: Isolation) -> None:
    def stop(text: str) -> None:
        if "\nstarted\n" in text:
            open_bench.cancel.set()

    open_bench.heard = stop
    error = failed(open_bench, f"{nap} & echo started; {nap}", isolation=isolation)
    assert isinstance(error, Canceled)
    assert open_bench.text.endswith("killed: the build was canceled.\n")
    assert not alive(nap)


@pytest.mark.parametrize("isolation", LEVELS, ids=lambda one: one.level)
def test_a_daemon_left_behind_is_killed(open_bench: Any, nap: str, isolation: Isolation) -> None:
    # Forked twice, in its own session, with no environment, no open file of ours and every signal ignored.
    daemon = f"trap '' TERM HUP; {nap} & echo up >&3"
    open_bench.write(
        {"daemon": f"exec 3>up\nsetsid env -i /bin/sh -c '({daemon}) </dev/null >/dev/null 2>&1 &'\n"}
    )
    open_bench.shell("sh daemon; until [ -s up ]; do :; done; mkdir out; touch out/a", isolation=isolation)
    assert not alive(nap)


@pytest.mark.parametrize("isolation", LEVELS, ids=lambda one: one.level)
def test_a_daemon_that_goes_on_talking_does_not_hold_the_build(open_bench: Any, isolation: Isolation) -> None:
    line = "for n in 1 2 3 4; do (setsid yes &); done; mkdir out; touch out/a"
    open_bench.shell(line, isolation=isolation)


def test_a_fork_bomb_stays_within_its_bound(bench: Any, nap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builder, "MOST_PROCESSES", 200)
    bench.write(
        {
            "bomb.py": "import os, sys\n"
            "count = 0\n"
            "while True:\n"
            "    try:\n"
            "        pid = os.fork()\n"
            "    except OSError:\n"
            "        print('stopped at', count, flush=True)\n"
            "        sys.exit(1)\n"
            "    if pid == 0:\n"
            f"        os.execvp('sleep', {nap.split()!r})\n"
            "    count += 1\n"
        }
    )
    error = failed(bench, "python3 bomb.py")
    assert error.hint == "It reached the limit of 200 processes."
    assert int(bench.text.split("stopped at ")[1]) < 200
    assert not alive(nap)


def test_a_fork_bomb_that_never_stops_is_killed(bench: Any) -> None:
    name = f"bomb{secrets.token_hex(4)}"
    bench.write(
        {name: "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n"}
    )
    error = failed(bench, f"exec python3 {name}", timeout=2)
    assert error.message == "The build took longer than 2s."
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if name.encode() in _bytes(path)]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_build_that_takes_memory_is_stopped_and_nothing_else_is(bench: Any, nap: str) -> None:
    line = f"{nap} & python3 -c 'x = bytearray(1 << 30)'; echo survived; sleep 60"
    error = failed(bench, line, memory=100 << 20)
    assert error.message == "The build used more than 100MB of memory."
    assert "killed: the build used more than 100MB of memory. Raise [build] memory" in bench.text
    assert not alive(nap)


def test_memory_in_many_processes_counts_together(bench: Any) -> None:
    one = "import time; x = bytearray(b'1') * (40 << 20); time.sleep(60)"
    error = failed(bench, f'for n in 1 2 3 4 5 6; do python3 -c "{one}" & done; wait', memory=100 << 20)
    assert "of memory" in error.message


def test_a_file_without_end_is_stopped(bench: Any) -> None:
    error = failed(bench, "dd if=/dev/zero of=big bs=1M count=100", most_disk=8 << 20)
    assert error.message == "The build wrote more than 8MB."
    assert (bench.work / "big").stat().st_size <= 8 << 20


def test_files_without_end_are_stopped(bench: Any) -> None:
    line = "n=0; while :; do n=$((n+1)); mkdir -p d$((n%9)); head -c 1000000 /dev/zero >d$((n%9))/$n; done"
    error = failed(bench, line, most_disk=20 << 20)
    assert error.message == "The build wrote more than 20MB."
    assert "killed: the build wrote more than 20MB." in bench.text


def test_temporary_files_count_too(bench: Any) -> None:
    line = "n=0; while :; do n=$((n+1)); head -c 1000000 /dev/zero >/tmp/$n; done"
    assert failed(bench, line, most_disk=20 << 20).message == "The build wrote more than 20MB."


def test_a_secret_is_not_in_the_log_however_it_is_written(bench: Any) -> None:
    secret = "tr0ub4dor&3 correct"
    bench.write(
        {
            "tell.py": "import base64, os, sys, time, urllib.parse\n"
            "secret = os.environ['TOKEN']\n"
            "for text in (secret, base64.b64encode(('user:' + secret).encode()).decode(),\n"
            "             base64.b64encode(secret.encode()).decode(), urllib.parse.quote(secret)):\n"
            "    for char in 'it is ' + text + '\\n':\n"
            "        os.write(1, char.encode())\n"
            "print('\\n'.join(os.environ))\n"
        }
    )
    bench.shell(
        "python3 tell.py; set -x; : $TOKEN; mkdir out; touch out/a", env=("TOKEN",), secrets={"TOKEN": secret}
    )
    assert bench.text.count("it is [redacted]\n") == 3
    assert bench.text.count("[redacted]") >= 4
    for piece in ("tr0ub", "dHIwdWI0", "RyMHViNGRvc", "correct"):
        assert piece not in bench.text


def test_a_hundred_megabytes_of_log_are_cut(bench: Any) -> None:
    bench.shell("yes 'a line of some length' | head -c 100000000; echo the end; mkdir out; touch out/a")
    assert MOST < len(bench.log) < MOST + 2 * TAIL
    assert "of output left out: a log holds 8MB]\n" in bench.text
    assert bench.text.endswith("the end\n")


def test_a_line_without_end_is_cut(bench: Any) -> None:
    bench.shell("head -c 30000000 /dev/zero | tr '\\0' x; mkdir out; touch out/a")
    assert len(bench.log) < MOST + 2 * TAIL


def test_gitdeploys_home_cannot_be_seen(bench: Any, monkeypatch: pytest.MonkeyPatch, tool: Path) -> None:
    """Not even when it lies inside a tool's folder that PATH makes visible."""
    home = tool / "home"
    (home / "keys").mkdir(parents=True)
    (home / "keys/signing").write_text("private")
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{tool}/bin")
    failed(bench, f"hello; ls -A {home}; cat {home}/keys/signing; cat {bench.top}/cache; exit 9", home=home)
    said = bench.text.splitlines()[2:]
    assert said == [
        "the tool runs",
        f"cat: {home}/keys/signing: No such file or directory",
        f"cat: {bench.top}/cache: No such file or directory",
    ]


@pytest.fixture
def tool() -> Iterator[Path]:
    """A tool outside of the system's folders, which every user may use."""
    top = Path(tempfile.mkdtemp(dir="/var/tmp"))
    (top / "bin").mkdir()
    (top / "bin/hello").write_text("#!/bin/sh\necho the tool runs\n")
    for path in (top, top / "bin", top / "bin/hello"):
        path.chmod(0o755)
    yield top
    shutil.rmtree(top)


def test_nothing_of_the_machine_can_be_written_and_no_right_is_left(bench: Any) -> None:
    bench.write(
        {
            "try": "mkdir out\n"
            "for d in / /etc /usr /usr/bin /dev /proc; do touch $d/x 2>&- && echo $d >>out/wrote; done\n"
            "mount -t tmpfs x /tmp 2>&- && echo mounted >>out/wrote\n"
            "ls -d /run /var /sys /root/.ssh /home /opt >out/seen 2>&-\n"
            "grep -E '^(Cap|NoNewPrivs)' /proc/self/status >out/rights\n"
            "ls /proc | grep -c '^[0-9]' >out/processes\n"
        }
    )
    out = bench.shell("sh try")
    assert not (out / "wrote").exists()
    assert (out / "seen").read_text() == ""
    rights = dict(line.split(":\t") for line in (out / "rights").read_text().splitlines())
    assert rights.pop("NoNewPrivs") == "1"
    assert {int(bits, 16) for bits in rights.values()} == {0}
    assert int((out / "processes").read_text()) < 8


@pytest.mark.parametrize("network", [False, True])
def test_the_network_is_there_only_when_it_is_allowed(bench: Any, network: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        connect = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
        failed(bench, f'python3 -c "{connect}" && echo reached; exit 1', network=network)
    assert ("\nreached\n" in bench.text) is network


@pytest.mark.parametrize("isolation", LEVELS, ids=lambda one: one.level)
def test_a_build_does_not_outlive_a_killed_daemon(open_bench: Any, nap: str, isolation: Isolation) -> None:
    script = (
        "import sys, threading; from pathlib import Path\n"
        "from gitdeploy.build.builder import build; from gitdeploy.build.sandbox import Isolation\n"
        "from gitdeploy.domain.recipe import Recipe, shell\n"
        "work = Path(sys.argv[1])\n"
        "recipe = Recipe('command', '', (shell(sys.argv[2]),), 'out')\n"
        "build(recipe, work, work.parent / 'cache', lambda data: None,\n"
        "      threading.Event(), isolation=Isolation(sys.argv[3]))\n"
    )
    open_bench.work.mkdir()
    line = f"(setsid {nap} &) ; exec {nap}"
    daemon = subprocess.Popen([sys.executable, "-c", script, str(open_bench.work), line, isolation.level])
    until(lambda: len(alive(nap)) == 2)
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()
    if isolation.level == NONE:
        until(lambda: len(alive(nap)) == 1)  # what left its session waits for the next build's broom
        cgroup.sweep(builder.GROUPS)
    until(lambda: not alive(nap))


def test_no_control_group_is_left(bench: Any) -> None:
    bench.shell("mkdir out; touch out/a")
    failed(bench, "exit 1")
    mine = f"{builder.GROUPS}-{os.getpid()}-"
    assert not [path for _, _, parent in cgroup._parents() for path in parent.glob(f"{mine}*")]
