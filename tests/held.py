"""Builds that wait until a test lets them go on, and pushes that go on while the test does."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from pathlib import Path

from support import GIT_ENV, Project, Pushed, Server, eventually

HELD = """
[build]
command = "touch begun; while [ ! -e go ]; do sleep 0.05; done; mkdir out; cp index.html out/"
output = "out"
timeout = "10m"
"""


class Held:
    """A project whose builds wait until they are told to go on."""

    def __init__(self, server: Server, project: Project) -> None:
        self.server = server
        project.write("gitdeploy.toml", HELD)

    def begun(self) -> list[Path]:
        return [one.parent for one in self.server.home.glob("work/*/source/begun")]

    def wait(self, builds: int = 1) -> None:
        eventually(lambda: len(self.begun()) == builds, seconds=60, why="the build does not begin")

    def go(self) -> None:
        for source in self.begun():
            (source / "go").touch()


class Going:
    """A push that goes on while the test does."""

    def __init__(self, project: Project, *words: str) -> None:
        self._out = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the push)
        self._process = subprocess.Popen(
            ["git", "push", *words], cwd=project.folder, env={**os.environ, **GIT_ENV}, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=self._out, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def said(self) -> str:
        return os.pread(self._out.fileno(), 1 << 20, 0).decode(errors="replace")

    def ended(self) -> Pushed:
        """Wait for its end."""
        with self._out:
            try:
                code = self._process.wait(timeout=120)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
                raise
            return Pushed(code, self.said())
