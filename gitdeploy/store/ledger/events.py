"""The audit log: append-only, each line sealed with the hash of the one before it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gitdeploy.domain.event import Event

if TYPE_CHECKING:
    from gitdeploy.store.ledger import Ledger

_FIRST = "0" * 64
_COLUMNS = "id, at, site, env, actor, action, subject, data, prev, hash"


class Events:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def add(
        self,
        id: str,
        at: str,
        *,
        action: str,
        actor: str,
        site: str = "",
        env: str = "",
        subject: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> Event:
        with self._ledger.atomic():
            last = self._ledger.query("SELECT hash FROM events ORDER BY number DESC LIMIT 1")
            prev = str(last[0]["hash"]) if last else _FIRST
            event = Event(id, at, site, env, actor, action, subject, dict(data or {}), prev, "")
            event = Event(**{**event.__dict__, "hash": _seal(event)})
            self._ledger.execute(
                f"INSERT INTO events ({_COLUMNS}) VALUES ({', '.join('?' * 10)})",
                (
                    *[
                        getattr(event, name)
                        for name in ("id", "at", "site", "env", "actor", "action", "subject")
                    ],
                    _canonical(event.data),
                    event.prev,
                    event.hash,
                ),
            )
        return event

    def get(self, id: str) -> Event | None:
        rows = self._ledger.query(f"SELECT {_COLUMNS} FROM events WHERE id = ?", (id,))
        return _event(rows[0]) if rows else None

    def after(
        self, number: int, *, sites: tuple[str, ...] = (), limit: int = 1000
    ) -> list[tuple[int, Event]]:
        """With their numbers, the oldest first; of these sites, or of all and of the server."""
        test = f"AND site IN ({', '.join('?' * len(sites))})" if sites else ""
        rows = self._ledger.query(
            f"SELECT number, {_COLUMNS} FROM events WHERE number > ? {test} ORDER BY number LIMIT ?",
            (number, *sites, limit),
        )
        return [(int(str(row["number"])), _event(row)) for row in rows]

    def former_names(self, site: str, after: int) -> list[str]:
        """What it was renamed from by an event after that number."""
        rows = self._ledger.query(
            "SELECT data FROM events WHERE site = ? AND number > ? AND action = 'site.renamed'", (site, after)
        )
        return [json.loads(str(row["data"]))["from"] for row in rows]

    @property
    def head(self) -> int:
        """The number of the newest, 0 when there is none."""
        return int(str(self._ledger.query("SELECT coalesce(max(number), 0) AS head FROM events")[0]["head"]))

    def last(self, site: str, action: str) -> Event | None:
        """The newest event of that kind."""
        rows = self._ledger.query(
            f"SELECT {_COLUMNS} FROM events WHERE site = ? AND action = ? ORDER BY number DESC LIMIT 1",
            (site, action),
        )
        return _event(rows[0]) if rows else None

    def broken_at(self) -> str | None:
        """The id of the first event that does not fit the chain, or None when every line holds."""
        prev = _FIRST
        for event in self._oldest_first():
            if event.prev != prev or _seal(event) != event.hash:
                return event.id
            prev = event.hash
        return None

    def list(self, *, site: str = "", after: int = 0, before: str = "", limit: int = 100) -> list[Event]:
        """The newest `limit` events, newest first; of those older than the event `before`, an id."""
        tests, values = ["1"], []
        if site:
            tests.append("site = ?")
            values.append(site)
        if before:
            tests.append("number < (SELECT number FROM events WHERE id = ?)")
            values.append(before)
        rows = self._ledger.query(
            f"SELECT number, {_COLUMNS} FROM events WHERE {' AND '.join(tests)} ORDER BY number DESC LIMIT ?",
            (*values, limit),
        )
        return [_event(row) for row in rows if int(str(row["number"])) > after]

    def _oldest_first(self) -> Iterator[Event]:
        number = 0
        while rows := self._ledger.query(
            f"SELECT number, {_COLUMNS} FROM events WHERE number > ? ORDER BY number LIMIT 1000", (number,)
        ):
            number = int(str(rows[-1]["number"]))
            yield from (_event(row) for row in rows)


def _seal(event: Event) -> str:
    return hashlib.sha256(_canonical({**event.__dict__, "hash": ""}).encode()).hexdigest()


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _event(row: dict[str, object]) -> Event:
    fields: dict[str, Any] = {name: value for name, value in row.items() if name != "number"}
    fields["data"] = json.loads(fields["data"])
    return Event(**fields)
