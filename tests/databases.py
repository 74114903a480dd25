"""Real database servers for a test session, each in a folder of its own, listening on loopback."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from support import eventually


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def as_owner(name: str) -> list[str]:
    """Database servers refuse to run as root. What runs is the program itself, for signals to reach it."""
    if os.geteuid() != 0:
        return []
    entry = pwd.getpwnam(name)
    return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups", "--"]


@contextlib.contextmanager
def folder_of(owner: str) -> Iterator[Path]:
    folder = Path(
        tempfile.mkdtemp(prefix="gd-db-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    )
    if os.geteuid() == 0:
        entry = pwd.getpwnam(owner)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """The URL of a superuser of a new PostgreSQL server."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1]
    with folder_of("postgres") as folder:
        port, who = free_port(), as_owner("postgres")
        (folder / "secret").write_text("root secret\n")
        subprocess.run([*who, binaries / "initdb", "-D", folder / "d", "-U", "postgres", "--auth=scram-sha-256",
                        f"--pwfile={folder}/secret", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"],
                       check=True, capture_output=True)  # fmt: skip
        options = (
            f"-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        )
        control = [*who, binaries / "pg_ctl", "-D", folder / "d", "-w", "-s"]
        subprocess.run([*control, "-o", options, "-l", folder / "log", "start"], check=True)
        try:
            yield f"postgresql://postgres:root%20secret@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True)


@contextlib.contextmanager
def mariadb() -> Iterator[str]:
    """The URL of a superuser of a new MariaDB server."""
    with folder_of("mysql") as folder, contextlib.ExitStack() as opened:
        port, who = free_port(), as_owner("mysql")
        # A server that starts removes the temporary tables in its folder, and another that has some there dies of it.
        own = ["--no-defaults", f"--datadir={folder}/d", f"--tmpdir={folder}/t"]
        subprocess.run([*who, "mkdir", folder / "t"], check=True)
        subprocess.run([*who, "mariadb-install-db", *own, "--skip-test-db",
                        "--auth-root-authentication-method=normal"], check=True, capture_output=True)  # fmt: skip
        log = opened.enter_context(open(folder / "log", "wb"))
        server = subprocess.Popen(
            [*who, shutil.which("mariadbd", path="/usr/sbin:/usr/bin") or "mariadbd", *own, f"--port={port}",
             "--bind-address=127.0.0.1", f"--socket={folder}/sock", f"--pid-file={folder}/pid",
             "--innodb-flush-log-at-trx-commit=0"],
            stdout=subprocess.DEVNULL, stderr=log,
        )  # fmt: skip
        try:
            client = ["mariadb", "--no-defaults", f"--socket={folder}/sock", "-u", "root", "-e"]
            eventually(lambda: not subprocess.run([*client, "SELECT 1"], capture_output=True).returncode)
            subprocess.run([*client, "CREATE USER admin@'%' IDENTIFIED BY 'root secret'; "
                            "GRANT ALL ON *.* TO admin@'%' WITH GRANT OPTION"], check=True)  # fmt: skip
            yield f"mysql://admin:root%20secret@127.0.0.1:{port}/"
            if server.poll() is not None:  # its folder goes with all that it said
                said = (folder / "log").read_bytes()[-8000:].decode(errors="replace")
                raise AssertionError(f"MariaDB ended by itself with {server.returncode}:\n{said}")
        finally:
            server.kill()
            server.wait()


def names(postgres_url: str, mariadb_url: str) -> set[str]:
    """Every database and every role there is in two servers."""
    line = "SELECT 'database ' || datname FROM pg_database UNION ALL SELECT 'role ' || rolname FROM pg_roles"
    found = subprocess.run(["psql", postgres_url, "-AtqXc", line], check=True, capture_output=True, text=True)
    one = urllib.parse.urlsplit(mariadb_url)
    client = ["mariadb", "--no-defaults", "-NB", f"-h{one.hostname}", f"-P{one.port}", f"-u{one.username}"]
    line = (
        "SELECT CONCAT('database ', schema_name) FROM information_schema.schemata "
        "UNION ALL SELECT CONCAT('role ', user) FROM mysql.user"
    )
    password = urllib.parse.unquote(one.password or "")
    asked = subprocess.run([*client, f"-p{password}", "-e", line], check=True, capture_output=True, text=True)
    return {*found.stdout.splitlines(), *asked.stdout.splitlines()}
