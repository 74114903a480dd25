"""A certificate authority of our own: a second Caddy that speaks ACME, and visitors who trust nobody else.

It reaches domains at the ports that ACME has for it, 80 and 443, on a loopback address of the test's own: its
/etc/hosts (seen by it alone, through bubblewrap) says that the domains are there.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import ssl
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from support import eventually


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    certificate: dict[str, object]
    alpn: str | None


class Authority:
    def __init__(self, *domains: str) -> None:
        self.address = f"127.{random.randint(2, 254)}.{random.randint(0, 254)}.{random.randint(1, 254)}"
        self.folder = Path(tempfile.mkdtemp(prefix="gd-ca-", dir="/tmp"))
        self.root = self.folder / "caddy/pki/authorities/local/root.crt"
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.directory = f"https://localhost:{port}/acme/local/directory"
        hosts = self.folder / "hosts"
        hosts.write_text(f"127.0.0.1 localhost\n{self.address} {' '.join(domains)}\n")
        (self.folder / "caddy.json").write_text(json.dumps(_config(port)))
        own = {name: str(self.folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                ["bwrap", "--dev-bind", "/", "/", "--ro-bind", str(hosts), "/etc/hosts", "--die-with-parent",
                 "caddy", "run", "--config", "caddy.json"],
                cwd=self.folder, env={**os.environ, **own}, stdout=log, stderr=log,
            )  # fmt: skip
        eventually(self._listens, why="the authority did not start")

    @property
    def settings(self) -> str:
        """For server.toml."""
        return f'[tls]\nacme = "{self.directory}"\nca_root = "{self.root}"\n'

    def visit(
        self, host: str, path: str = "/", *, trust: Path | None = None, alpn: str = "http/1.1", **headers: str
    ) -> Answer:
        """One request over TLS; raises ssl.SSLError unless the certificate is for `host` and of this authority."""
        with self.connect(host, trust=trust, alpn=alpn) as connection:
            said = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
            connection.sendall(
                f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{said}Connection: close\r\n\r\n".encode()
            )
            raw = b"".join(iter(lambda: connection.recv(65536), b""))
            head, _, body = raw.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            pairs = (line.partition(": ") for line in lines)
            found = {name.lower(): value for name, _, value in pairs}
            chosen = connection.selected_alpn_protocol()
            return Answer(int(first.split()[1]), found, body, connection.getpeercert() or {}, chosen)

    def connect(self, host: str, *, trust: Path | None = None, alpn: str = "http/1.1") -> ssl.SSLSocket:
        """The first one for a name waits while its certificate is got."""
        trusting = ssl.create_default_context(cafile=trust or self.root)
        trusting.set_alpn_protocols([alpn])
        plain = socket.create_connection((self.address, 443), timeout=30)
        try:
            return trusting.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)

    def _listens(self) -> bool:
        assert self.process.poll() is None, (self.folder / "log").read_text()
        port = int(self.directory.split(":")[2].partition("/")[0])
        with socket.socket() as one:
            return self.root.exists() and one.connect_ex(("127.0.0.1", port)) == 0


def _config(port: int) -> dict[str, object]:
    server = {
        "listen": [f"127.0.0.1:{port}"],
        "automatic_https": {"disable": True},
        "tls_connection_policies": [{}],
        "routes": [{"handle": [{"handler": "acme_server", "host": f"localhost:{port}"}]}],
    }
    internal = {"policies": [{"issuers": [{"module": "internal"}]}]}
    return {
        "admin": {"disabled": True, "config": {"persist": False}},
        "apps": {
            "http": {"servers": {"ca": server}},
            "pki": {"certificate_authorities": {"local": {"install_trust": False}}},
            "tls": {"certificates": {"automate": ["localhost"]}, "automation": internal},
        },
    }


def own_certificate(folder: Path, *names: str) -> tuple[Path, Path]:
    """A self-signed one: the files of certificate and key."""
    cert, key = folder / f"{names[0]}.crt", folder / f"{names[0]}.key"
    said = ",".join(f"DNS:{name}" for name in names)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", key, "-out", cert, "-days", "30", "-subj", "/CN=own", "-addext", f"subjectAltName={said}"],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key
