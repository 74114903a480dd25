from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import GIT_ENV, Page, eventually


class Events:
    """`/_gitdeploy/events`, read as a browser reads it."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=30)
        self._connection.request("GET", "/_gitdeploy/events")
        self._answer = self._connection.getresponse()
        assert self._answer.headers.get_content_type() == "text/event-stream"
        self.now = self.next()

    def next(self) -> dict:
        line = b"\n"
        while line == b"\n":
            line = self._answer.readline()
        assert line.startswith(b"data: "), line
        self.now = json.loads(line[6:])
        return self.now

    def until(self, what, *, seconds: float = 30.0) -> dict:
        """The first event, from the last one on, of which `what` holds."""
        deadline = time.monotonic() + seconds
        while not what(self.now):
            assert time.monotonic() < deadline, f"last told: {self.now}"
            self.next()
        return self.now

    def until_new(self) -> dict:
        """What is told once another version is shown."""
        known = self.now["version"]
        return self.until(lambda told: told["version"] != known)

    def close(self) -> None:
        self._answer.close()
        self._connection.close()

    def wait_for_end(self) -> None:
        """Raises when the connection is cut off instead."""
        self._answer.read()


class Dev:
    """`gitdeploy dev` on a folder."""

    def __init__(self, top: Path, *, scratch: Path | None = None) -> None:
        self.folder = top / "folder"
        self.folder.mkdir()
        self.scratch = scratch or top / "scratch"
        self.scratch.mkdir(exist_ok=True)
        self._log = top / "said"
        self.process: subprocess.Popen[bytes] | None = None
        self.address = ""
        self._listening: list[Events] = []

    def start(self, **env: str) -> None:
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gitdeploy", "dev", str(self.folder), "--listen", "127.0.0.1:0"],
                stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, "TMPDIR": str(self.scratch), **env},
            )  # fmt: skip
        self.address = self.wait_for(r"at http://(\S+)/ ")[1]

    def said(self) -> str:
        return self._log.read_text("utf-8")

    def wait_for(self, pattern: str, *, since: int = 0) -> re.Match[str]:
        def found():
            assert self.process.poll() is None, self.said()
            return re.search(pattern, self.said()[since:])

        return eventually(found, seconds=30, why=f"it never said {pattern!r}")

    def ready(self) -> Events:
        """Start, wait until the site is made, and listen."""
        self.start()
        events = self.events()
        events.until(lambda told: not told["version"].endswith("-0"))
        return events

    def events(self) -> Events:
        self._listening.append(Events(self.address))
        return self._listening[-1]

    def write(self, path: str, content: str) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)

    def git(self, *words: str) -> None:
        subprocess.run(["git", *words], cwd=self.folder, env={**os.environ, **GIT_ENV}, check=True)

    def get(self, path: str = "/", *, method: str = "GET", **headers: str) -> Page:
        connection = http.client.HTTPConnection(self.address, timeout=30)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, headers=named)
            answer = connection.getresponse()
            return Page(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def leave(self) -> None:
        """Close every browser."""
        while self._listening:
            self._listening.pop().close()

    def stop(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=60)


@pytest.fixture
def dev(tmp_path, request):
    one = Dev(tmp_path)

    def end():
        one.leave()
        if one.process is not None and one.process.poll() is None:
            one.process.kill()
            one.process.wait()

    request.addfinalizer(end)
    return one
