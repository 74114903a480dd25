"""A command on a terminal of somebody's, seen from the slot: how long it is kept, and how its end is told."""

from __future__ import annotations

import json
import os
import pty
import socket
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from apps_support import Slots, alive, keeper_of, until

from gitdeploy import marks
from gitdeploy.errors import Busy
from gitdeploy.runtime.apps.family import MARK
from gitdeploy.runtime.apps.place import App, Files


@dataclass
class User:
    """Who sits at the other end of the terminal, and hears how it went."""

    terminal: int
    door: socket.socket
    text: bytes = b""

    def shows(self, text: bytes) -> None:
        until(lambda: text in self._more())

    def _more(self) -> bytes:
        self.text += os.read(self.terminal, 65536)
        return self.text

    def hears(self) -> object:
        self.door.settimeout(20)
        return json.loads(self.door.makefile("rb").readline() or b"null")

    def leave(self) -> None:
        os.close(self.terminal)
        self.door.close()


@pytest.fixture
def sit(slots: Slots) -> Iterator[object]:
    seated = []

    def sit(app: App, line: str) -> User:
        ours, theirs = pty.openpty()
        near, far = socket.socketpair()
        seated.append(near)
        variables = {"TERM": "xterm"}
        with far:
            slots.driver.console(
                app, line, name="seat", variables=variables, terminal=theirs, user=far.fileno()
            )
        os.close(theirs)
        return User(ours, near)

    yield sit
    for one in seated:
        one.close()


def test_its_end_is_told(slots: Slots, sit) -> None:
    app = slots.start()
    assert sit(app, "exit 4").hears() == {"code": 4}
    until(lambda: not slots.driver.status(app).jobs)
    assert sit(app, "kill -9 $$").hears() == {"code": 137}


def test_a_slot_that_is_left_is_patient_with_it_and_not_for_ever(slots: Slots, sit) -> None:
    app = slots.start()
    user = sit(
        app,
        "tty >/dev/null && echo a terminal; trap '' HUP; read word; echo got $word; read on",
    )
    user.shows(b"a terminal")
    mark = f"{Files(app.folder).key}/seat"
    assert marks.carrying(MARK, mark)
    slots.driver.drain(app, wait=False, patience=2)
    until(lambda: slots.driver.status(app).state == "draining")
    os.write(user.terminal, b"it\n")
    user.shows(b"got it")
    assert "no longer kept" in user.hears()["error"]["message"]
    user.leave()
    until(lambda: slots.driver.status(app).state == "retired")
    assert not marks.carrying(MARK, mark)
    assert not list(Path("/sys/fs/cgroup").rglob("gitdeploy-app-*-seat"))


def test_a_slot_that_is_ended_ends_it(slots: Slots, sit) -> None:
    app = slots.start()
    user = sit(app, "echo ready; sleep 4712")
    user.shows(b"ready")
    keeper = keeper_of(app)
    slots.driver.drain(app)
    assert "no longer kept" in user.hears()["error"]["message"]
    assert not alive(keeper)


def test_what_came_before_consoles_says_so(slots: Slots, sit) -> None:
    """A keeper outlives upgrades: an older one does not know what it is asked, and answers nothing."""

    class Older(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            self.wfile.write(b"{}\n")

    app = App(slots.home, "blog", "production", "r1")
    app.folder.mkdir(parents=True)
    with socketserver.UnixStreamServer(str(Files(app.folder).control), Older) as server:
        threading.Thread(target=server.handle_request).start()
        with pytest.raises(Busy, match="started by an older gitdeploy"):
            sit(app, "sh")
