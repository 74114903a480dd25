"""`gitdeploy` in a process of its own, forked from one that has imported it: the same program, arguments, environment
and streams, without the tenth of a second, or the two, in which it starts. The tests run it thousands of times.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from functools import cache
from importlib import import_module

_LARGEST = 1 << 17
"""Bytes of arguments and environment."""


def run(*words: str, stdin: str, env: dict[str, str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Raises subprocess.TimeoutExpired; then it was killed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with (
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        ours,
    ):
        given.write(stdin.encode())
        given.seek(0)
        order = json.dumps({"words": words, "env": env, "folder": str(os.getcwd())}).encode()
        with theirs:
            socket.send_fds(_source(), [order], [one.fileno() for one in (given, out, err, theirs)])
        ours.settimeout(timeout)
        pid = int(ours.recv(16))
        try:
            code = int(ours.recv(16))
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(words, timeout) from None
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(words, code, out.read().decode(), err.read().decode())


@cache
def _source() -> socket.socket:
    """Where the process that is forked takes orders; it ends when there is nobody left to give any."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        source = subprocess.Popen([sys.executable, __file__], stdin=theirs)
    atexit.register(source.wait)
    atexit.register(ours.close)  # first
    return ours


def _take_orders() -> None:
    from gitdeploy.cli import NOUNS

    for name in (
        *(f"cli.{one}" for one in NOUNS),
        "web.offline",
        "web.standby",
    ):  # what is done without a server too
        import_module(f"gitdeploy.{name}")
    orders = socket.socket(fileno=0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries them
    while True:
        order, descriptors, _, _ = socket.recv_fds(orders, _LARGEST, 4)
        if not order:
            return
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _see_to(json.loads(order), descriptors)
            os._exit(0)
        for one in descriptors:
            os.close(one)


def _see_to(order: dict[str, object], descriptors: list[int]) -> None:
    *streams, door = descriptors
    pid = os.fork()
    if pid == 0:
        for number, one in enumerate(streams):
            os.dup2(one, number)
        os.closerange(3, max(descriptors) + 1)
        _be(order)
    os.write(door, str(pid).encode())
    _, status = os.waitpid(pid, 0)
    os.write(door, str(os.waitstatus_to_exitcode(status)).encode())


def _be(order: dict[str, object]) -> None:
    """Never returns."""
    from gitdeploy.cli import main

    code = 1
    try:
        os.environ.clear()
        os.environ.update(order["env"])
        os.chdir(order["folder"])
        sys.argv = ["gitdeploy", *order["words"]]
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _take_orders()
