"""The command by which a container finds out how its program is, with what an image is likely to have.

The engine asks it again and again, so a container that falls ill later is replaced too.
"""

from __future__ import annotations

import json
import shlex

from gitdeploy.domain.app import Check
from gitdeploy.domain.image import PORT

LEAST_INTERVAL = 2.0
"""Seconds. Each asking starts a process in every container, for as long as it lives."""
ONE_TRY = 10.0
"""Seconds that one asking may take."""

# Each writes the answer's status in its first line and its body below.
# Python's takes 10 ms this way, and 80 with http.client.
_PYTHON = """
import _socket, sys
one = _socket.socket()
one.settimeout(8)
one.connect(("127.0.0.1", PORT))
one.sendall(("GET %s HTTP/1.0\\r\\nHost: %s\\r\\nConnection: close\\r\\n\\r\\n" % (PATH, HOST)).encode())
got = b""
while part := one.recv(65536):
    got += part
head, _, body = got.partition(b"\\r\\n\\r\\n")
print(head.split()[1].decode(), flush=True)
sys.stdout.buffer.write(body)
"""
_NODE = """
require("http").get({host: "127.0.0.1", port: PORT, path: PATH, headers: {host: HOST}, timeout: 8000}, (got) => {
  console.log(got.statusCode); got.pipe(process.stdout) }).on("error", () => process.exit(1))
"""
_NONE = "no curl, python3 or node is in the image: give it one, or say [health] command"


def command(check: Check) -> list[str]:
    """As Docker takes it (`HEALTHCHECK`): exit code 0 is healthy."""
    if check.command:
        return ["CMD-SHELL", check.command]
    if not check.path:
        return ["CMD-SHELL", _accepts()]
    asked = " ".join(
        ["-H", shlex.quote(f"Host: {check.host}"), shlex.quote(f"http://127.0.0.1:{PORT}{check.path}")]
    )
    ways = [
        ("curl", f"curl -s -m 8 -o /tmp/.health -w '%{{http_code}}\\n' {asked} && cat /tmp/.health"),
        ("python3", f"python3 -ISc {shlex.quote(_filled(_PYTHON, check))}"),
        ("node", f"node -e {shlex.quote(_filled(_NODE, check))}"),
    ]
    tried = " ".join(f"elif command -v {name} >/dev/null; then {line};" for name, line in ways)[2:]
    expected = "|".join(map(str, check.expect))
    contains = (
        f"case $got in *{shlex.quote(check.contains)}*) ;; *) exit 1;; esac; " if check.contains else ""
    )
    return [
        "CMD-SHELL",
        f"got=$({tried} else echo {shlex.quote(_NONE)}; fi) || exit 1; "
        f'case ${{got%%"\n"*}} in {expected}) ;; *) echo "$got" | head -c 300; exit 1;; esac; {contains}exit 0',
    ]


def _accepts() -> str:
    """A connection is enough."""
    port = f"{PORT:04X}"
    return f"grep -q ':{port} 0*:0000 0A' /proc/net/tcp /proc/net/tcp6"


def _filled(script: str, check: Check) -> str:
    said = script.replace("PORT", str(PORT)).replace("PATH", json.dumps(check.path))
    return said.replace("HOST", json.dumps(check.host))
