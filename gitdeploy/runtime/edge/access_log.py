"""The access log, `logs/access.log`: one line of JSON a request, written alike by Caddy and by the embedded edge.

    {"ts": "2026-11-21T09:54:26.657Z", "request": {"remote_ip": "192.0.2.1", "method": "GET",
     "host": "example.org", "uri": "/a?b=c"}, "duration": 0.0012, "size": 512, "status": 200}

`host` and `uri` are as the visitor sent them, `duration` is seconds, `size` bytes of the answer's body. Headers are
not in it: no cookies, no credentials. At `LARGEST` bytes the file is renamed to `access-<time>.log`; `KEPT` of those
stay. Caddy 2.6 writes status 0 for a websocket, where the embedded edge writes 101.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gitdeploy.runtime.edge.answer import Request

_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

FILE = "logs/access.log"
LARGEST = 50 << 20
KEPT = 5
_UNWANTED = (
    "user_id", "bytes_read", "resp_headers", "request>headers", "request>tls", "request>remote_port", "request>proto",
)  # fmt: skip


def caddy() -> dict[str, Any]:
    """The logger of Caddy 2.6 that writes such lines."""
    lines = {
        "format": "json",
        "time_format": "rfc3339_nano",
        "message_key": "",
        "level_key": "",
        "name_key": "",
    }
    return {
        "include": ["http.log.access"],
        "encoder": {
            "format": "filter",
            "wrap": lines,
            "fields": {name: {"filter": "delete"} for name in _UNWANTED},
        },
        "writer": {
            "output": "file",
            "filename": FILE,
            "roll_size_mb": LARGEST >> 20,
            "roll_keep": KEPT,
            "roll_gzip": False,
        },
    }


class Log:
    """For one process; `folder` is the home."""

    def __init__(self, folder: Path, *, largest: int = LARGEST) -> None:
        self._path = folder / FILE
        self._largest = largest
        self._open()

    def write(self, request: Request, status: int, size: int, duration: float) -> None:
        """A full disk costs lines of the log, never an answer."""
        asked = {
            "remote_ip": request.visitor,
            "method": request.method,
            "host": request.host,
            "uri": request.target.decode("latin-1"),
        }
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        said = {"ts": now, "request": asked, "duration": round(duration, 6), "size": size, "status": status}
        line = json.dumps(said, separators=(",", ":")).encode() + b"\n"
        with contextlib.suppress(OSError):
            self._size += os.write(self._fd, line)
            if self._size >= self._largest:
                self._rotate()

    def _open(self) -> None:
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._fd).st_size

    def _rotate(self) -> None:
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S.%f")
        self._path.rename(self._path.with_name(f"access-{moment}.log"))
        os.close(self._fd)
        self._open()
        for old in sorted(self._path.parent.glob("access-*.log"))[:-KEPT]:
            old.unlink(missing_ok=True)


class Counted:
    """Passes an answer on and counts what passes."""

    def __init__(self, send: _Send) -> None:
        self._send = send
        self._began = time.perf_counter()
        self.status = 0
        self.size = 0

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self.size += len(message.get("body", b""))
        await self._send(message)

    @property
    def duration(self) -> float:
        return time.perf_counter() - self._began
