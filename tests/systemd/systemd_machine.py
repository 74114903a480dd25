"""A Debian machine with systemd as PID 1, in a container that sees this project and our Python, read-only.

Its root is made once with debootstrap and kept in ~/.cache/gitdeploy-tests; what a run changes is gone afterwards.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PACKAGES = (
    *("systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd", "procps", "python3-venv", "git"),
    *("bubblewrap", "openssh-server", "caddy"),
)
_PATH = "/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin"


class Machine:
    def __init__(self, root: Path) -> None:
        shown = {PROJECT, Path(sys.prefix), Path(sys.base_prefix)} - {Path("/usr")}
        self._nspawn = subprocess.Popen(
            ["systemd-nspawn", "--quiet", "-D", str(root), f"--machine=gd-{os.getpid()}", "--volatile=overlay",
             "--register=no", "--keep-unit", "--private-network", "--boot", "--console=pipe",
             *(f"--bind-ro={one}" for one in sorted(shown))],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._leader = ""

    def await_boot(self) -> None:
        until = time.monotonic() + 60
        while self._nspawn.poll() is None and time.monotonic() < until:
            children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
            self._leader = next(iter(children.read_text().split()), "")
            if self._leader and self.run("systemctl", "is-system-running").stdout.strip() == "running":
                return
            time.sleep(0.05)
        self.stop()
        raise AssertionError(f"The machine did not start: {self._nspawn.communicate()[0].decode()}")

    def run(self, *argv: str, user: str = "") -> subprocess.CompletedProcess[str]:
        """Run it in the machine as `user`, root without one."""
        return subprocess.run(self._inside(argv, user), cwd="/", capture_output=True, text=True, timeout=600)

    def check(self, *argv: str, user: str = "") -> str:
        done = self.run(*argv, user=user)
        assert done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}\n{self.journal()}"
        return done.stdout

    def start(self, *argv: str) -> subprocess.Popen[str]:
        return subprocess.Popen(self._inside(argv, ""), cwd="/", stdout=subprocess.PIPE, text=True)

    def journal(self) -> str:
        return self.run("journalctl", "--no-pager", "--lines=40").stdout

    def write(self, path: str, text: str, *, mode: int = 0o644) -> None:
        code = "import pathlib,sys; p=pathlib.Path(sys.argv[1]); p.parent.mkdir(parents=True,exist_ok=True)"
        code += "; p.write_text(sys.argv[2]); p.chmod(int(sys.argv[3]))"
        self.check("/usr/bin/python3", "-c", code, path, text, str(mode))

    def stop(self) -> None:
        self._nspawn.terminate()  # it passes that on as the wish to power off
        try:
            self._nspawn.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.communicate()

    def _inside(self, argv: tuple[str, ...], user: str) -> list[str]:
        change = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        told = [
            f"PATH={_PATH}",
            f"HOME={'/tmp' if user else '/root'}",
            "PYTHONDONTWRITEBYTECODE=1",
            "LANG=C.UTF-8",
        ]
        return [
            "nsenter",
            "-t",
            self._leader,
            "-m",
            "-p",
            "-u",
            "-i",
            "-n",
            "-C",
            *change,
            "env",
            "-i",
            *told,
            *argv,
        ]


@contextmanager
def booted() -> Iterator[Machine]:
    machine = Machine(_root())
    machine.await_boot()
    try:
        yield machine
    finally:
        machine.stop()


def _root() -> Path:
    """Made when there is none of these packages yet: about a minute, once."""
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    name = hashlib.sha256(" ".join((suite, *PACKAGES)).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gitdeploy-tests"
    cache.mkdir(parents=True, exist_ok=True)
    root = cache / f"{suite}-{name}"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test process may be at it
        if not root.exists():
            _make(suite, root)
    return root


def _make(suite: str, root: Path) -> None:
    making = root.with_name("making")
    subprocess.run(["rm", "-rf", str(making)], check=True)
    made = subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", suite, str(making)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout[-3000:]
    subprocess.run(
        ["chroot", str(making), "systemctl", "disable", "caddy", "ssh"], check=True, capture_output=True
    )
    (making / "root").chmod(0o711)  # our Python may lie there
    making.rename(root)
