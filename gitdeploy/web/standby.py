"""A home that follows another server, and its promotion: no daemon runs there."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gitdeploy.errors import Busy, NotFound
from gitdeploy.service import follow, promotion, server_file
from gitdeploy.service.lead import held
from gitdeploy.service.teller import Teller
from gitdeploy.store import durable
from gitdeploy.store.backup_place import BackupPlace
from gitdeploy.store.elsewhere import Elsewhere, elsewhere
from gitdeploy.store.home import Home
from gitdeploy.store.terms import Terms
from gitdeploy.web.serve import opened

_LONGEST_END = 60.0
"""Seconds that a promotion waits for whoever follows in its home to end: it is in the middle of a shipment."""
Said = Callable[[bytes], None]


def run(home: Path, place: str, password: str, said: Said) -> None:
    """Follow by the place until the home is promoted, or the process ends. Raises Busy."""
    where = Home(home.resolve())
    reached = elsewhere(place, {})
    with _alone(where):
        follow.begin(where, place)
        follow.run(
            where, lambda: BackupPlace(reached, password), Terms(reached), Teller(said), threading.Event()
        )


def promote(home: Path, password: str, said: Said) -> dict[str, Any]:
    """Have the server of this home act in place of any other. Raises Refused, Busy, Failed; then it is done again."""
    where, teller = Home(home.resolve()), Teller(said)
    reached, known = _place(where)
    terms = Terms(reached)
    claim = promotion.prepare(where, terms)
    with _alone(where, _LONGEST_END):
        promotion.take_over(where, claim, terms, lambda: BackupPlace(reached, known or password), teller)
    with opened(where.root) as ctx:
        promotion.finish(ctx, claim, terms, teller)
    return {"term": claim.number, "home": str(where.root)}


def status(home: Path) -> dict[str, Any]:
    """What this home is: `role` is follows, acts, replaced or waits (nothing was claimed for it)."""
    where = Home(home.resolve())
    reached, _ = _place(where)
    terms = Terms(reached)
    state = follow.State.read(where)
    greatest = next(iter(reversed(terms.claims())), None)
    mine = held(where)
    role = (
        "follows"
        if state
        else "acts"
        if greatest and greatest.name == mine
        else "replaced"
        if mine
        else "waits"
    )
    return {
        "role": role, "place": reached.name, "term": greatest.number if greatest else 0,
        "acting": terms.read(greatest).host if greatest else "", "promoting": bool(follow.promoting(where)),
        "applied": state.applied if state else "", "taken": state.taken if state else "",
        "brought": state.brought if state else "",
        "standbys": [{"host": host, "applied": applied} for host, applied in terms.followers().values()],
    }  # fmt: skip


# Private


def _place(home: Home) -> tuple[Elsewhere, str]:
    """Where claims lie, with the password if it is known: as the home follows it, or as server.toml says."""
    state = follow.State.read(home)
    said = server_file.load(home.root / "server.toml").standby
    options = dataclasses.asdict(said)
    if state is not None:
        same = state.place == said.to
        return elsewhere(state.place, options if same else {}), said.password if same else ""
    if not said.to:
        raise NotFound(f"{home.root} neither follows a server nor has standbys.", "See: docs/operations.md")
    return elsewhere(said.to, options), said.password


@contextlib.contextmanager
def _alone(home: Home, seconds: float = 0.0) -> Iterator[None]:
    """Nobody serves or follows in this home. Raises Busy when somebody still does after so many seconds."""
    durable.make_folder(home.root, mode=0o711 if os.geteuid() == 0 else 0o700)
    durable.make_folder(home.run, mode=0o700)
    until = time.monotonic() + seconds
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(
                    durable.exclusive(
                        home.run / "daemon.lock", busy=f"Somebody serves or follows in {home.root}."
                    )
                )
                break
            except Busy:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
        yield
