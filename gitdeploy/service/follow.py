"""A warm standby: a home that follows another server, shipment by shipment, and in which nothing runs.

standby/state.json    whom it follows, and what it has; while the folder is there, nothing is served from the home
standby/claim         it is being promoted, with that claim
standby/list.json     the files that are in the home
standby/next.json     those that are being brought: killed in between, both lists are known
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gitdeploy.domain.backup import Contents
from gitdeploy.errors import Busy, GitdeployError
from gitdeploy.service import bring_back
from gitdeploy.service.lead import PREFIX, held
from gitdeploy.service.teller import Teller
from gitdeploy.store import clock, durable, ids
from gitdeploy.store.backup_place import BackupPlace
from gitdeploy.store.home import Home
from gitdeploy.store.terms import Terms

EVERY = 1.0  # seconds


@dataclass(frozen=True)
class State:
    """`holder` is this server's own name; `applied` the shipment that is here, `taken` when that was made and `brought`
    when it came (UTC ISO 8601).
    """

    place: str
    holder: str
    applied: str = ""
    taken: str = ""
    brought: str = ""

    @classmethod
    def read(cls, home: Home) -> State | None:
        try:
            return cls(**json.loads((home.standby / "state.json").read_text()))
        except FileNotFoundError:
            return None

    def write(self, home: Home) -> State:
        durable.make_folder(home.standby, mode=0o700)
        durable.write_file(home.standby / "state.json", json.dumps(asdict(self)).encode(), mode=0o600)
        return self


def refuse(home: Home) -> None:
    """Raises Busy while a home follows another server."""
    if home.standby.exists():
        raise Busy(
            f"{home.root} follows another server, or is being promoted.",
            "See: gitdeploy standby status; to have it take that one's place: gitdeploy standby promote",
        )


def begin(home: Home, place: str) -> State:
    """Have a home that does not exist yet follow, or go on. Raises Busy for one that holds a server of its own."""
    state = State.read(home)
    if state is None and (home.ledger.exists() or held(home)):
        raise Busy(
            f"{home.root} holds a server already.", "Name a folder that does not exist yet with --home."
        )
    if promoting(home):
        raise Busy(f"{home.root} is being promoted.", "Finish it: gitdeploy standby promote")
    durable.make_folder(home.root, mode=0o711 if os.geteuid() == 0 else 0o700)
    return (replace(state, place=place) if state else State(place, ids.new(PREFIX))).write(home)


def promoting(home: Home) -> str:
    """The name of the claim with which it is being promoted; "" while it only follows."""
    try:
        return (home.standby / "claim").read_text()
    except FileNotFoundError:
        return ""


def run(
    home: Home, opened: Callable[[], BackupPlace], terms: Terms, teller: Teller, ending: threading.Event
) -> None:
    """Follow until `ending` is set or the home is promoted. What fails is said once, and tried again."""
    place: BackupPlace | None = None
    failure, told = "", ""
    while not ending.is_set() and not promoting(home):
        try:
            place = place or opened()
            now = catch_up(home, place)
            if now.applied != told:
                terms.follows(now.holder, socket.gethostname(), now.applied)
                teller.detail(f"has what the server had at {now.taken}")
                told = now.applied
            failure = ""
        except GitdeployError as error:
            if error.message != failure:
                teller.problem(error.message, error.hint)
            failure = error.message
        ending.wait(EVERY)


def catch_up(home: Home, place: BackupPlace) -> State:
    """Bring the newest shipment, if it is not here. Raises NotProven for other bytes than were shipped, Failed."""
    state = State.read(home)
    assert state is not None
    newest = place.ids()
    if not newest or newest[-1] == state.applied:
        return state
    contents = place.read(newest[-1])
    here, begun = home.standby / "list.json", home.standby / "next.json"
    before, half = _listed(here), _listed(begun)
    durable.write_file(begun, contents.text(), mode=0o600)
    _clear(home, [one for one in (before, half) if one], contents)
    bring_back.folders(home, contents)
    there = {one.path: one for one in before.files} if before and not half else {}
    for item in bring_back.in_order(home, contents):
        bring_back.write(home.root / item.path, item, place, there.get(item.path))
    durable.sync_filesystem(home.root)
    begun.rename(here)
    return replace(state, applied=contents.id, taken=contents.created_at, brought=clock.now()).write(home)


# Private


def _listed(path: Path) -> Contents | None:
    try:
        return Contents.parse(path.read_bytes())
    except FileNotFoundError:
        return None


def _clear(home: Home, before: list[Contents], wanted: Contents) -> None:
    """Remove what is there no more. First of all, since a folder may be where a file was, and the other way round, as
    with the branches `fix` and `fix/it`.
    """
    files = {item.path for one in before for item in one.files} - {item.path for item in wanted.files}
    for path in files:
        for one in (home.root / path, bring_back.part(home.root / path)):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                one.unlink()
    folders = {name for one in before for name in one.folders} - wanted.folders.keys()
    for name in sorted(folders):
        if (home.root / name).is_dir():
            durable.remove_tree(home.root / name)
