"""The command that containers are asked with, run by a real shell beside a real server."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from gitdeploy.domain.app import Check
from gitdeploy.runtime.swarm import health

NEEDED = ("sh", "cat", "head", "grep", "echo")


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        right = self.path == "/it's?a=1" and self.headers["Host"] == "shop.example.org"
        self.send_response(200 if right else 404)
        self.end_headers()
        self.wfile.write(b"all is well\n" * 3)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def asked(check: Check, port: int, folder: Path, *programs: str) -> subprocess.CompletedProcess[str]:
    """As a container would that has just these programs."""
    for name in (*NEEDED, *programs):
        (folder / name).symlink_to(Path(shutil.which(name, path="/usr/bin:/bin") or "").resolve())
    kind, line = health.command(check)
    assert kind == "CMD-SHELL"
    line = line.replace(str(health.PORT), str(port)).replace(f"{health.PORT:04X}", f"{port:04X}")
    return subprocess.run(["/bin/sh", "-c", line], env={"PATH": str(folder)}, capture_output=True, text=True)


@pytest.mark.parametrize("program", ["curl", "python3", "node"])
def test_each_program_tells_well_from_ill(program: str, port: int, tmp_path: Path) -> None:
    well = Check(path="/it's?a=1", contains="is well", host="shop.example.org")
    for number, (check, code) in enumerate([
        (well, 0),
        (Check(path="/it's?a=1", contains="is ill", host="shop.example.org"), 1),
        (Check(path="/none", host="shop.example.org"), 1),
        (Check(path="/none", host="shop.example.org", expect=(200, 404)), 0),
        (Check(path="/it's?a=1", host="other.example.org"), 1),
    ]):  # fmt: skip
        folder = tmp_path / str(number)
        folder.mkdir()
        said = asked(check, port, folder, program)
        assert said.returncode == code, (check, said)
    assert "404" in said.stdout  # the engine keeps what was said


def test_an_image_with_nothing_to_ask_with_is_ill_and_says_so(port: int, tmp_path: Path) -> None:
    said = asked(Check(host="shop.example.org"), port, tmp_path)
    assert said.returncode == 1 and "give it one" in said.stdout, said


def test_a_command_of_its_own_and_a_port_that_accepts(port: int, tmp_path: Path) -> None:
    assert health.command(Check(command="./well")) == ["CMD-SHELL", "./well"]
    assert asked(Check(path=""), port, tmp_path).returncode == 0
