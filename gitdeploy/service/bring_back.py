"""A server brought back from a backup, on this machine or another: its files, then the data of its environments.

`restoring` in the home says that this is not finished: until then nothing is served from it, and doing it again
finishes it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from gitdeploy.domain.backup import Contents, Item
from gitdeploy.domain.environment import Environment
from gitdeploy.domain.snapshot import Snapshot
from gitdeploy.errors import Busy, Failed, NotFound
from gitdeploy.runtime.slots import Environment as Place
from gitdeploy.service import beside, database, slot, snapshot
from gitdeploy.service.context import Context
from gitdeploy.service.journal import live_release
from gitdeploy.service.teller import Teller
from gitdeploy.store import durable
from gitdeploy.store.backup_place import BackupPlace
from gitdeploy.store.home import Home

_TOLD_EVERY = 10_000  # files


def files(home: Home, place: BackupPlace, id: str, teller: Teller) -> Contents:
    """Write the files of a backup (the newest without `id`) into a home that is empty, or that an earlier try began.
    Raises NotProven for bytes that are not those that were backed up, Busy for a home in use, NotFound.
    """
    found = place.ids()
    wanted = id or (found[-1] if found else "")
    if wanted not in found:
        known = ", ".join(found[-5:])
        raise NotFound(
            f"There is no backup {id or 'at all'} in {place.name}.", f"The newest are: {known}" * bool(found)
        )
    mark = _mark(home)
    if home.ledger.exists() and not mark.exists():
        raise Busy(
            f"{home.root} holds a server already.", "Name a folder that does not exist yet with --home."
        )
    contents = place.read(wanted)
    teller.step(f"{contents.id} of {contents.created_at} from {place.name} into {home.root}")
    durable.make_folder(home.root, mode=0o711 if os.geteuid() == 0 else 0o700)
    durable.write_file(mark, contents.id.encode())
    home.ledger.unlink(missing_ok=True)
    folders(home, contents)
    for number, item in enumerate(in_order(home, contents), 1):
        write(home.root / item.path, item, place)
        if number % _TOLD_EVERY == 0:
            teller.detail(f"{number} of {len(contents.files)} files")
    durable.sync_filesystem(home.root)
    teller.detail(f"{len(contents.files)} files, each compared with its hash")
    return contents


def folders(home: Home, contents: Contents) -> None:
    for name, mode in sorted(contents.folders.items()):
        durable.make_folder(home.root / name, mode=mode)
        (home.root / name).chmod(mode)


def in_order(home: Home, contents: Contents) -> list[Item]:
    """The ledger last: what it names is there by then."""
    return sorted(contents.files, key=lambda one: home.root / one.path == home.ledger)


def data(ctx: Context, contents: Contents, teller: Teller) -> None:
    """`fill`, and the end of it."""
    fill(ctx, teller)
    for one in contents.without:
        teller.problem(f"The backup was taken without the data of {one}")
    ctx.event("server.restored", actor="restore", subject=contents.id, data={"taken": contents.created_at})
    durable.remove(_mark(ctx.home))


def fill(ctx: Context, teller: Teller) -> None:
    """Fill the data folders and databases of environments that stay from their newest snapshots. A database that is
    there and answers is left as it is: it is newer than any backup. Safe to repeat.
    """
    for env in ctx.ledger.environments.where(order="site, name"):
        anew = database.make_anew(ctx, env)
        if env.kind != "preview":
            _bring(ctx, env, anew, teller)
        elif anew:
            teller.detail(f"{env.name} of {env.site}: its databases begin empty")


def write(path: Path, item: Item, place: BackupPlace, known: Item | None = None) -> None:
    """Have the file be this item. What has its size and time has been written by an earlier try; `known` is what lies
    there for certain. Raises NotProven, Failed.
    """
    with contextlib.suppress(FileNotFoundError):
        seen = path.lstat()
        if item.mtime == seen.st_mtime_ns and item.size == seen.st_size:
            return
        if known is not None and (known.digest, known.mode) == (item.digest, item.mode):
            os.utime(path, ns=(item.mtime, item.mtime))
            return
    half = part(path)
    half.unlink(missing_ok=True)
    try:
        fd = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(fd, "wb") as file:
            for piece in place.whole(item.digest):
                file.write(piece)
            file.flush()
            os.fchmod(file.fileno(), item.mode)
            os.utime(file.fileno(), ns=(item.mtime, item.mtime))
        half.rename(path)
    except OSError as error:
        raise durable.said(error, path) from error


def part(path: Path) -> Path:
    """Where a file is written until it is whole."""
    return path.with_name(f".{path.name}.part")


def refuse_half(home: Home) -> None:
    """Raises Failed while a home is not wholly back."""
    if _mark(home).exists():
        raise Failed(
            f"{home.root} is being brought back from a backup, and that has not ended.",
            "Finish it: gitdeploy backup restore",
        )


# Private


def _mark(home: Home) -> Path:
    return home.root / "restoring"


def _bring(ctx: Context, env: Environment, anew: frozenset[str], teller: Teller) -> None:
    live = live_release(ctx, env.site, env.name)
    if live is None or (taken := _newest(ctx, env)) is None:
        return
    folder = Place(ctx.home, env.site, env.folder).data_folder(live.data)
    durable.remove_tree(folder)
    held = snapshot.kept(ctx, env)[1]
    slot.data_folder(ctx, env, live.data)
    beside.fill(ctx, env, live.data, taken, [one for one in held if one.name in anew], held)
    teller.detail(f"{env.name} of {env.site}: its data of {taken.created_at} ({taken.name})")
    for one in held:
        if one.server and one.name not in anew:
            teller.detail(f"{env.name} of {env.site}: {one.name} is there and left as it is")


def _newest(ctx: Context, env: Environment) -> Snapshot | None:
    """The newest that is proven, or the newest."""
    mine = ctx.ledger.snapshots.where(site=env.site, env=env.name, order="number DESC")
    return next((one for one in mine if one.verified), mine[0] if mine else None)
