"""How a server and a builder on another machine talk: frames on the two pipes of one SSH session.

Both begin with GREETING. Then frames: a byte that says what it is, the length of the rest in four bytes, the rest. The
server sends ASK (answered by ANSWER) or JOB and the tree; the builder LOG as it comes, then the output, or REFUSED.
A tree is FILE or EXEC with its path, each followed by its bytes as PIECEs, LINKs, and END. JOB, ANSWER and REFUSED are
JSON. Both send BEAT every few seconds: who hears nothing for a while takes the other for gone.

What comes from the other side is not trusted: see `receive_folder`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

GREETING = b"gitdeploy builder 1\n"
ASK, ANSWER, JOB, LOG, REFUSED = b"A", b"W", b"J", b"L", b"R"
FILE, EXEC, LINK, PIECE, END, BEAT = b"F", b"X", b"S", b"P", b"E", b"B"

BEATS = 5.0  # seconds between two
SILENCE = 60.0  # seconds after which the other one is gone
MOST = 16 * 1024**2  # bytes of a frame
PIECE_SIZE = 1024**2
_TICK = 0.1
_CHUNK = 256 * 1024
_HEAD = struct.Struct(">cI")


class Gone(Exception):
    """The other one hung up, was not heard for too long, or speaks another language; `str` says which."""


class Wire:
    """One end. `waits` is asked ten times a second while nothing comes or goes, and may raise to end that.

    Raises Gone from everything.
    """

    def __init__(self, reading: int, writing: int, waits: Callable[[], None] = lambda: None) -> None:
        self._reading, self._writing = reading, writing
        self.waits = waits
        self._buffer = bytearray()
        self._sending = threading.Lock()
        self._over = threading.Event()
        self._heard = time.monotonic()
        for fd in (reading, writing):
            os.set_blocking(fd, False)

    @contextlib.contextmanager
    def beating(self) -> Iterator[None]:
        """Greet, and send beats while the block runs."""
        self._write(GREETING)
        thread = threading.Thread(target=self._beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def greeted(self) -> None:
        """Wait for the other one's greeting."""
        said = self._take(len(GREETING))
        if said != GREETING:
            raise Gone(f"it said {bytes(said[:60])!r}")

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        with self._sending:
            self._write(_HEAD.pack(kind, len(payload)) + payload)

    def send_json(self, kind: bytes, value: Any) -> None:
        self.send(kind, json.dumps(value).encode())

    def receive(self) -> tuple[bytes, bytes]:
        """The next frame that is no beat: what it is, and the rest."""
        while True:
            kind, length = _HEAD.unpack(self._take(_HEAD.size))
            if length > MOST:
                raise Gone("it sent what no builder sends")
            payload = bytes(self._take(length))
            if kind != BEAT:
                return kind, payload

    def drain(self) -> None:
        """Take what comes until the other one hangs up: always ends with Gone."""
        while True:
            self._buffer.clear()
            self._fill()

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill()
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _fill(self) -> None:
        self.waits()
        if not _ready(self._reading, select.POLLIN):
            if time.monotonic() > self._heard + SILENCE:
                raise Gone(f"nothing was heard of it for {SILENCE:.0f} s")
            return
        try:
            data = os.read(self._reading, _CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            raise Gone(str(error.strerror)) from error
        if not data:
            raise Gone("it hung up")
        self._heard = time.monotonic()
        self._buffer += data

    def _write(self, data: bytes) -> None:
        left, stuck = memoryview(data), time.monotonic() + SILENCE
        while left:
            self.waits()
            try:
                if _ready(self._writing, select.POLLOUT):
                    left, stuck = left[os.write(self._writing, left) :], time.monotonic() + SILENCE
            except BlockingIOError:
                continue
            except OSError as error:
                raise Gone("it hung up") from error
            if time.monotonic() > stuck:
                raise Gone(f"it took nothing for {SILENCE:.0f} s")

    def _beat(self) -> None:
        while not self._over.wait(BEATS):
            if not self._sending.acquire(blocking=False):
                continue  # what is being sent is a sign of life too
            try:
                # So small that a pipe takes all of it or nothing.
                os.write(self._writing, _HEAD.pack(BEAT, 0))
            except BlockingIOError:
                continue
            except OSError:
                return
            finally:
                self._sending.release()


def _ready(fd: int, what: int) -> bool:
    poll = select.poll()
    poll.register(fd, what)
    return bool(poll.poll(_TICK * 1000))


def send_files(wire: Wire, files: Iterable[tuple[bytes, bytes, Iterable[bytes]]]) -> None:
    """Send FILEs and EXECs with path and content, and LINKs, whose content is their target."""
    for kind, path, content in files:
        if kind == LINK:
            wire.send(LINK, struct.pack(">H", len(path)) + path + b"".join(content))
            continue
        wire.send(kind, path)
        for data in content:
            for begin in range(0, len(data), PIECE_SIZE):
                wire.send(PIECE, data[begin : begin + PIECE_SIZE])
    wire.send(END)
