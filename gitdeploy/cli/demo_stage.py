"""What the demo is played on: a server, a shell and a visitor, each as anybody has them.

The server is `gitdeploy serve`, the shell runs the very words it shows, the visitor asks over HTTP.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import shutil
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from gitdeploy import process, resources
from gitdeploy.errors import Failed
from gitdeploy.process import Command

LONGEST = 150
"""Characters of one line that are shown."""
GITDEPLOY = (sys.executable, "-P", "-m", "gitdeploy")
PATIENCE = 60.0
"""Seconds for the server to get ready, and to end."""


@dataclass(frozen=True)
class Page:
    """What a visitor got; `title` is the text of its first heading."""

    status: int
    text: str

    @property
    def title(self) -> str:
        found = re.search(r"<h1>(.*?)</h1>", self.text)
        return found[1] if found else ""


class Shell:
    """Runs what it shows, in `folder`, as somebody with a fresh machine: no settings of one's own count."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self._env = {
            "GITDEPLOY_HOME": str(home),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_NAME": "Ana",
            "GIT_AUTHOR_EMAIL": "ana@example.org",
            "GIT_COMMITTER_NAME": "Ana",
            "GIT_COMMITTER_EMAIL": "ana@example.org",
        }

    def types(self, line: str, *, fails: bool = False) -> str:
        """Run one line, show it and what it says; returns what it said. Raises Failed when it ends otherwise
        than expected.
        """
        click.echo(f"   {click.style('$', dim=True)} {click.style(line, bold=True)}")
        reading, writing = os.pipe()
        with os.fdopen(reading, encoding="utf-8", errors="replace") as output:
            child = process.start(self._command(line), stdout=writing, stderr=writing)
            os.close(writing)
            heard = [_show(text) for text in output]
        code = child.wait()
        if (code != 0) != fails:
            raise Failed(f"`{line}` ended with exit code {code}.")
        return "".join(heard)

    def asks(self, line: str) -> str:
        """What a line says on standard output, without showing either."""
        return process.check(self._command(line)).text

    def facts(self, line: str) -> Any:
        """What a gitdeploy command says with --json, without showing it."""
        return json.loads(self.asks(f"gitdeploy {line} --json"))

    def edits(self, act: str) -> None:
        """Lay the files of `templates/demo/<act>` over the project."""
        source = resources.folder("templates") / "demo" / act
        shutil.copytree(source, self.folder, dirs_exist_ok=True)
        names = sorted(path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file())
        click.echo(f"   {click.style('edit', dim=True)} {', '.join(names)}")

    def _command(self, line: str) -> Command:
        words = tuple(shlex.split(line))
        argv = (*GITDEPLOY, *words[1:]) if words[0] == "gitdeploy" else words
        return Command(argv, cwd=self.folder, env=self._env)


class Server:
    """`gitdeploy serve` on free ports, where the usual ones are taken. Use as a context."""

    def __init__(self, home: Path, listen: str, edge: str) -> None:
        self.home = home
        self.listen = _free(listen)
        self.edge = _free(edge)
        self._log = home.with_name("server.log")

    def __enter__(self) -> Server:
        words = ("--home", str(self.home), "serve", "--listen", self.listen, "--edge", self.edge)
        with self._log.open("wb") as log:
            self._child = process.start(
                Command((*GITDEPLOY, *words)), stdout=log.fileno(), stderr=log.fileno(), own_session=True
            )
        try:
            self._await_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server, and the edge, which would serve on."""
        self._child.terminate()
        deadline = time.monotonic() + PATIENCE
        while self.runs:
            if time.monotonic() > deadline:
                self._child.kill()
            time.sleep(0.02)
        process.run(Command((*GITDEPLOY, "--home", str(self.home), "edge", "stop")))

    @property
    def runs(self) -> bool:
        return self._child.poll() is None

    def visit(self, host: str) -> Page:
        """GET / of `host`, as somebody whose browser knows where *.localhost is."""
        connection = http.client.HTTPConnection(self.edge, timeout=30)
        try:
            connection.request("GET", "/", headers={"Host": f"{host}.localhost"})
            answer = connection.getresponse()
            page = Page(answer.status, answer.read().decode("utf-8", "replace"))
        except OSError as error:
            raise Failed(f"Nobody serves {self.address(host)}: {error}.") from error
        finally:
            connection.close()
        click.echo(f"   {click.style('GET', dim=True)} {self.address(host)}  {page.status}  {page.title}")
        return page

    def address(self, host: str) -> str:
        return f"http://{host}.localhost:{self.edge.rpartition(':')[2]}/"

    def _await_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not re.search(r"^ready$", self._said(), re.MULTILINE):
            if not self.runs or time.monotonic() > deadline:
                raise Failed("The server did not start:\n" + self._said().strip())
            time.sleep(0.05)
        said = re.search(r"http://([^/]+)/\n.*http://<site>\.localhost:(\d+)/", self._said())
        if said is None:
            raise Failed("The server did not say where it listens:\n" + self._said().strip())
        self.listen, self.edge = said[1], f"127.0.0.1:{said[2]}"

    def _said(self) -> str:
        return self._log.read_text("utf-8", "replace")


def _show(line: str) -> str:
    """One line of a program, indented; a record without an end to it is cut."""
    text = line.rstrip()
    click.echo("     " + (text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"))
    return line


def _free(address: str) -> str:
    """`address`, or any free port of the same host when somebody listens there already."""
    host, _, port = address.rpartition(":")
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((host, int(port)))
        except OSError:
            return f"{host}:0"
    return address
