"""What can be done while no daemon runs: recover a lost ledger, and bring a server back from a backup."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gitdeploy.errors import Busy, NotFound
from gitdeploy.service import bring_back, daemon
from gitdeploy.service import recover as recovery
from gitdeploy.service.teller import Teller
from gitdeploy.store.backup_place import BackupPlace
from gitdeploy.store.elsewhere import elsewhere
from gitdeploy.store.home import Home
from gitdeploy.web.serve import opened


def recover(home: Path, said: Callable[[bytes], None]) -> dict[str, int]:
    """Rebuild the ledger of `home`. Raises Busy while there is one, or while a daemon runs."""
    where = Home(home.resolve())
    if where.ledger.exists():
        raise Busy("There is a ledger already.", f"Move it away first: mv {where.ledger} {where.ledger}.old")
    if not where.repos.is_dir():
        raise NotFound(f"{where.root} has no repositories to recover from.", "Name another with --home.")
    with opened(where.root) as ctx:
        return recovery.recover(ctx, Teller(said))


def restore(home: Path, place: str, id: str, password: str, said: Callable[[bytes], None]) -> dict[str, Any]:
    """Bring a server back into `home` from a backup, the newest without `id`. Raises Busy where one is already."""
    where, teller = Home(home.resolve()), Teller(said)
    if daemon.runs(where):
        raise Busy(f"A server runs in {where.root}.", "Name a folder that does not exist yet with --home.")
    contents = bring_back.files(where, BackupPlace(elsewhere(place, {}), password), id, teller)
    with opened(where.root) as ctx:
        bring_back.data(ctx, contents, teller)
    return {"restored": contents.id, "taken": contents.created_at, "files": len(contents.files)}
