"""A real S3 server for a test session: rclone, serving a folder."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from databases import free_port
from support import eventually

KEY, SECRET = "test-access-key-of-20", "test-secret-key-of-more-than-20"


@contextlib.contextmanager
def bucket(folder: Path) -> Iterator[dict[str, str]]:
    """Settings that reach a bucket whose objects are the files of `folder`/things."""
    (folder / "things").mkdir(parents=True)
    port = free_port()
    command = [
        Path(sys.executable).with_name("rclone"), "serve", "s3", "--auth-key", f"{KEY},{SECRET}",
        "--addr", f"127.0.0.1:{port}", "--config", "/dev/null", "--vfs-cache-mode", "off", folder,
    ]  # fmt: skip
    with open(folder / "log", "wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            eventually(lambda: b"Starting s3 server" in (folder / "log").read_bytes())
            yield {
                "copy": "s3://things/here", "endpoint": f"http://127.0.0.1:{port}", "region": "us-east-1",
                "access_key": KEY, "secret_key": SECRET,
            }  # fmt: skip
        finally:
            server.terminate()
