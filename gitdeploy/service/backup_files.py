"""What belongs into a backup: every file of the home that the server cannot make again.

Written down here or in the ledger is the truth, so the order matters where others go on: the ledger first, of one
instant, then what it names. What has come since is more than the ledger knows of, as after a crash.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gitdeploy.domain.backup import Item
from gitdeploy.domain.digest import Digest
from gitdeploy.runtime.edge import gate
from gitdeploy.service.context import Context
from gitdeploy.store import blobs, durable
from gitdeploy.store.home import Home

_AGAIN = 10
"""Times that a repository is looked at anew because git packed it meanwhile."""
_GATES = (gate.ALLOW, gate.MAINTENANCE, gate.PASSWORD)
_PACKED = "packed-refs"
_MADE_ANEW = (_PACKED, "refs/", "hooks/", "logs/")
"""In a repository: refs are read from git, whichever way it keeps them."""


@dataclass(frozen=True)
class File:
    """An item, and where its bytes lie now."""

    item: Item
    source: Path


def files(ctx: Context, work: Path, before: Mapping[str, Item]) -> Iterator[File]:
    """All of them, each once. `work` is a folder for what has to be written down first; what has the size and time of
    an item `before` is not read again.
    """
    root = ctx.home.root
    copy = work / "ledger.db"
    ctx.ledger.copy(copy)
    yield _file(copy, "ledger.db", {}, mode=0o600)  # a copy already
    for repository in sorted(ctx.home.repos.glob("*.git")):
        yield from _repository(ctx, repository, work, before)
    for path in _others(ctx.home):
        with contextlib.suppress(FileNotFoundError):  # removed just now
            yield _file(path, str(path.relative_to(root)), before, work)
    for path in ctx.store.files():
        with contextlib.suppress(FileNotFoundError):
            is_blob = path.is_relative_to(ctx.home.store / "blobs")
            yield _blob(path, root) if is_blob else _file(path, str(path.relative_to(root)), before, work)


def folders(home: Home, found: list[File]) -> dict[str, int]:
    """The permissions of the folders that these are in, by path; and of what git takes a repository by."""
    names = {str(above) for one in found for above in Path(one.item.path).parents} - {"."}
    names |= {str(one.relative_to(home.root)) for one in home.repos.glob("*.git/refs")}
    modes = {}
    for name in sorted(names):
        with contextlib.suppress(FileNotFoundError):
            modes[name] = stat.S_IMODE((home.root / name).stat().st_mode)
    return modes


# Private


def _others(home: Home) -> Iterator[Path]:
    yield from (one for one in (home.root / "server.toml", *_below(home.keys)) if one.is_file())
    yield from _below(home.certificates)
    yield from _below(home.logs / "builds")
    for env in sorted(home.sites.glob("*/*/")):
        yield from (env / name for name in _GATES if (env / name).is_file())
        yield from _below(env / "bases")


def _repository(ctx: Context, path: Path, work: Path, before: Mapping[str, Item]) -> Iterator[File]:
    """The refs first, then the objects: there are more of them than the refs need, never fewer."""
    inside = str(path.relative_to(ctx.home.root))
    refs = ctx.repository(path.stem).refs()
    packed = work / f"{path.stem}.refs"
    durable.write_file(packed, "".join(f"{id} {ref}\n" for ref, id in sorted(refs.items())).encode())
    yield _file(packed, f"{inside}/{_PACKED}", {}, mode=0o644)
    for _ in range(_AGAIN):
        found: list[File] = []
        try:
            for one in _below(path):
                name = str(one.relative_to(path))
                if not name.startswith(_MADE_ANEW) and not _is_under_way(name):
                    is_object = name.startswith("objects/")
                    found.append(_file(one, f"{inside}/{name}", before, None if is_object else work))
        except FileNotFoundError:
            continue
        break
    yield from found


def _is_under_way(name: str) -> bool:
    """What git has not finished writing."""
    last = name.rpartition("/")[2]
    return name.endswith(".lock") or last.startswith("tmp_") or "/incoming-" in name or "/tmp_objdir-" in name


def _below(folder: Path) -> Iterator[Path]:
    for above, names, files in os.walk(folder):
        names.sort()
        for name in sorted(files):
            path = Path(above, name)
            if not path.is_symlink() and not name.startswith("."):
                yield path


def _file(
    path: Path, name: str, before: Mapping[str, Item], work: Path | None = None, *, mode: int | None = None
) -> File:
    """With `work`, for what may be written to while it is read, what counts is a copy there."""
    seen = path.lstat()
    mode = stat.S_IMODE(seen.st_mode) if mode is None else mode
    known = before.get(name)
    if known is not None and (known.size, known.mtime) == (seen.st_size, seen.st_mtime_ns):
        return File(Item(name, mode, seen.st_size, known.digest, seen.st_mtime_ns), path)
    if work is not None:
        path = Path(shutil.copyfile(path, work / secrets.token_hex(8)))
    with open(path, "rb") as file:
        digest = Digest(hashlib.file_digest(file, "sha256").hexdigest())
        size = os.fstat(file.fileno()).st_size
    return File(Item(name, mode, size, digest, seen.st_mtime_ns), path)


def _blob(path: Path, root: Path) -> File:
    digest = Digest.parse(path.name)
    name = str(path.relative_to(root))
    return File(Item(name, blobs.MODE, path.lstat().st_size, digest, blobs.mtime(digest) * 10**9), path)
