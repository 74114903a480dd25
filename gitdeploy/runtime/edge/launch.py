"""Starts one process of the edge and waits until that very process answers."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gitdeploy
from gitdeploy import process
from gitdeploy.errors import Failed
from gitdeploy.process import Command
from gitdeploy.runtime.edge import caddy, sockets, tls
from gitdeploy.runtime.edge.app import ALIVE_HOST
from gitdeploy.runtime.edge.running import Record, Running
from gitdeploy.store import durable
from gitdeploy.store.home import Home

EMBEDDED = "gitdeploy.runtime.edge"
DEADLINE = 20.0
"""Seconds for a process to answer after its start."""


def record_file(home: Home) -> Path:
    return home.run / "edge.json"


def what_runs(name: str, record: Record) -> str:
    """What a process of that name has to be made of; another answer than the running one's means: replace it.

    Caddy is its configuration alone, so an upgrade of gitdeploy leaves it (and its connections) untouched.
    """
    if name == "caddy":
        text = json.dumps(caddy.config(record.listen, record.tls))
    else:
        text = gitdeploy.__version__ + (record.tls.suffix if record.tls else "")
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def start(home: Home, record: Record, name: str, public: socket.socket | None) -> Record:
    """Start `name`, listening on `public` when it is the one visitors reach; returns the record as written.

    The record is written before the wait: a process that is up is always one that can be found again.
    Raises Failed with the last lines of the log when it ends or does not answer in time.
    """
    log = home.logs / "edge.log"
    begin = log.stat().st_size if log.exists() else 0
    followed = record.named(name)
    with open(log, "ab") as out:
        fds = (public.fileno(),) if public is not None else ()
        command = _caddy(home, record) if name == "caddy" else _embedded(home, record, *fds)
        child = process.start(command, stdout=out, stderr=out, own_session=True, pass_fds=fds)
    new = Running.child(name, what_runs(name, record), child)
    others = tuple(one for one in record.alive() if one.name != name)
    record = replace(record, processes=(*others, new), leaving=(followed,) if followed else ())
    record.write(record_file(home))
    answers = _caddy_answers(record) if name == "caddy" else _embedded_answers(home, new.pid)
    _wait(new, answers, log, begin)
    return record


def _embedded(home: Home, record: Record, *fds: int) -> Command:
    listen = ("--listen", f"fd:{fds[0]}") if fds else ()
    https = (f"--https={record.tls.suffix}",) if record.tls else ()
    argv = (sys.executable, "-P", "-m", EMBEDDED, "--home", str(home.root.resolve()), *listen, *https)
    return Command(argv, cwd=home.root)


def _caddy(home: Home, record: Record) -> Command:
    text = json.dumps(caddy.config(record.listen, record.tls), indent=1)
    durable.write_file(home.run / "caddy.json", text.encode(), mode=0o600)
    return caddy.command(home, shutil.which("caddy") or "caddy")


def _embedded_answers(home: Home, pid: int) -> Callable[[], bool]:
    said = f"embedded {pid}\n".encode()
    return lambda: _ask(sockets.UnixConnection(home.run / "edge.sock")) == said


def _caddy_answers(record: Record) -> Callable[[], bool]:
    here = tls.reach(record.listen)
    return lambda: _ask(http.client.HTTPConnection(here, timeout=5)) == b"caddy\n"


def _ask(connection: http.client.HTTPConnection) -> bytes:
    try:
        connection.request("GET", "/", headers={"Host": ALIVE_HOST})
        return connection.getresponse().read(100)
    except (OSError, http.client.HTTPException):
        return b""
    finally:
        connection.close()


def _wait(new: Running, answers: Callable[[], bool], log: Path, begin: int) -> None:
    deadline = time.monotonic() + DEADLINE
    while not answers():
        if not new.alive or time.monotonic() > deadline:
            why = "ended" if not new.alive else f"did not answer within {DEADLINE:g} s"
            new.end(within=1)
            lines = log.read_bytes()[begin:].decode(errors="replace").strip().splitlines()
            said = " / ".join(lines[-3:]) or "it said nothing"
            raise Failed(f"The {new.name} edge {why}: {said}", f"Read {log}.")
        time.sleep(0.02)
