"""The ledger: what happened and what is wanted, in one SQLite file that the daemon alone writes.

Rows are the frozen dataclasses of `domain`; a column is a field. Every verb that changes more than one row
does so inside `with ledger.atomic():`. Threads share the one connection under a lock.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from sqlite_utils import Database as File

from gitdeploy.domain.access import Grant, Key, Token
from gitdeploy.domain.answer import Answer
from gitdeploy.domain.approval import Approval
from gitdeploy.domain.backup import Backup
from gitdeploy.domain.build import Build
from gitdeploy.domain.builder import Builder
from gitdeploy.domain.config import ConfigVersion
from gitdeploy.domain.cutover import Cutover
from gitdeploy.domain.database import Database
from gitdeploy.domain.domain_name import Domain
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.freeze import Freeze
from gitdeploy.domain.head import Head
from gitdeploy.domain.image import Image
from gitdeploy.domain.incident import Incident
from gitdeploy.domain.move import Move
from gitdeploy.domain.pictures import Pictures
from gitdeploy.domain.push import PendingPush
from gitdeploy.domain.rehearsal import Rehearsal
from gitdeploy.domain.release import Release
from gitdeploy.domain.schedule import Schedule
from gitdeploy.domain.schema import KnownSchema
from gitdeploy.domain.session import Session
from gitdeploy.domain.site import Site
from gitdeploy.domain.snapshot import Snapshot
from gitdeploy.domain.switch import SwitchRecord
from gitdeploy.domain.webhook import Delivery, Webhook
from gitdeploy.errors import Failed
from gitdeploy.store.ledger.events import Events
from gitdeploy.store.ledger.rows import Rows
from gitdeploy.store.ledger.schema import migrations


class Ledger:
    """Open with a path; raises Failed with what to do when the file cannot be read as a ledger."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        try:
            path.touch(mode=0o600)
            connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")
            self.db = File(connection)
            migrations.apply(self.db)
        except sqlite3.Error as error:
            raise _refusal(error, path) or Failed(f"The ledger {path} cannot be opened: {error}.") from error
        self.sites = Rows(self, "sites", Site, key=("name",))
        self.environments = Rows(self, "environments", Environment, key=("site", "name"))
        self.builds = Rows(self, "builds", Build, key=("id",))
        self.releases = Rows(self, "releases", Release, key=("id",))
        self.images = Rows(self, "images", Image, key=("site", "build", "base"))
        self.pushes = Rows(self, "pushes", PendingPush, key=("id", "ref"))
        self.configs = Rows(self, "configs", ConfigVersion, key=("site", "env", "number"))
        self.databases = Rows(self, "databases", Database, key=("site", "env", "name"))
        self.schemas = Rows(self, "schemas", KnownSchema, key=("fingerprint",))
        self.snapshots = Rows(self, "snapshots", Snapshot, key=("id",))
        self.moves = Rows(self, "moves", Move, key=("id",))
        self.rehearsals = Rows(self, "rehearsals", Rehearsal, key=("id",))
        self.cutovers = Rows(self, "cutovers", Cutover, key=("id",))
        self.heads = Rows(self, "heads", Head, key=("site", "ref"))
        self.switches = Rows(self, "switches", SwitchRecord, key=("id",))
        self.pictures = Rows(self, "pictures", Pictures, key=("id",))
        self.schedules = Rows(self, "schedules", Schedule, key=("id",))
        self.approvals = Rows(self, "approvals", Approval, key=("id",))
        self.freezes = Rows(self, "freezes", Freeze, key=("id",))
        self.domains = Rows(self, "domains", Domain, key=("host",))
        self.incidents = Rows(self, "incidents", Incident, key=("site", "number"))
        self.grants = Rows(self, "grants", Grant, key=("actor", "site", "env"))
        self.tokens = Rows(self, "tokens", Token, key=("id",))
        self.keys = Rows(self, "keys", Key, key=("id",))
        self.sessions = Rows(self, "sessions", Session, key=("id",))
        self.answers = Rows(self, "answers", Answer, key=("id",))
        self.builders = Rows(self, "builders", Builder, key=("name",))
        self.backups = Rows(self, "backups", Backup, key=("id",))
        self.webhooks = Rows(self, "webhooks", Webhook, key=("id",))
        self.deliveries = Rows(self, "deliveries", Delivery, key=("id",))
        self.events = Events(self)

    @contextlib.contextmanager
    def atomic(self) -> Iterator[None]:
        """All or nothing; other threads wait. Nested blocks are savepoints."""
        with self._lock, self._said(), self.db.atomic():
            yield

    def query(self, sql: str, values: tuple[object, ...] = ()) -> list[dict[str, object]]:
        with self._lock, self._said():
            return list(self.db.query(sql, values))

    def execute(self, sql: str, values: tuple[object, ...] = ()) -> int:
        """Run one statement and say how many rows it changed."""
        with self._lock, self._said():
            return int(self.db.conn.execute(sql, values).rowcount)

    def copy(self, path: Path) -> None:
        """Write all of it as it is at this instant into a new file, while others go on."""
        with self._said():
            _copy(self._path, path)

    @staticmethod
    def copy_of(ledger: Path, path: Path) -> None:
        """The same of a ledger that is not opened here: its tables may be those of another version. Raises Failed."""
        path.unlink(missing_ok=True)
        try:
            _copy(ledger, path)
        except sqlite3.Error as error:
            raise _refusal(error, ledger) or Failed(f"The ledger cannot be copied: {error}.") from error

    def check(self) -> str:
        """SQLite's own verdict: "ok" or the first problem."""
        return str(self.query("PRAGMA quick_check(1)")[0]["quick_check"])

    def close(self) -> None:
        with self._lock:
            self.db.conn.close()

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        """What the disk refuses is a failure that a user may see, with a sentence of its own."""
        try:
            yield
        except sqlite3.Error as error:
            if (refusal := _refusal(error, self._path)) is None:
                raise
            raise refusal from error


def _copy(ledger: Path, path: Path) -> None:
    with contextlib.closing(sqlite3.connect(ledger, timeout=10)) as reader:
        reader.execute("VACUUM INTO ?", (str(path),))


def _refusal(error: sqlite3.Error, path: Path) -> Failed | None:
    """The sentence for what SQLite says of the disk or the file; None for a mistake of ours."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return Failed("The disk is full, so the ledger cannot be written.", "Free space, and try again.")
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return Failed(f"The ledger {path} cannot be written: {error}.", "Check the disk and its free space.")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return Failed(
            f"The ledger {path} cannot be read: {error}.",
            "Restore it from a backup, or move it away and run: gitdeploy recover",
        )
    return None
