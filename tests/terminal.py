"""A terminal as a person sits at one, with a program in it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time


class Terminal:
    """A terminal with a program in it, which it controls."""

    def __init__(self, *words: str, **env: str) -> None:
        self.fd, inner = pty.openpty()
        self.resize(24, 80)
        self.text = ""
        self.client = subprocess.Popen(
            ["setsid", "--ctty", *words], stdin=inner, stdout=inner, stderr=inner,
            env={**os.environ, "NO_COLOR": "1", "TERM": "xterm", **env},
        )  # fmt: skip
        os.close(inner)

    def type(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def shows(self, text: str, *, seconds: float = 20) -> None:
        """Wait until it was shown, and forget what was shown up to there."""
        until = time.monotonic() + seconds
        while text not in self.text:
            assert time.monotonic() < until, f"{text!r} is not in {self.text!r}"
            if not self._read(until - time.monotonic()):
                assert text in self.text, f"{text!r} is not in {self.text!r}, and it is over"
        self.text = self.text.partition(text)[2]

    def code(self) -> int:
        while self._read(20):
            pass
        return self.client.wait(20)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self.fd)

    def _read(self, within: float) -> bool:
        assert select.select([self.fd], [], [], max(0, within))[0], f"nothing more than {self.text!r}"
        try:
            self.text += os.read(self.fd, 65536).decode(errors="replace")
        except OSError:
            return False
        return True
