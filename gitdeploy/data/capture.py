"""One instant of an environment, put into the store: databases as they dump themselves, files as they are.

    databases/<name>/…          what the engine wrote, cut into pieces; `sqlite:data/app.db` is sqlite/data/app.db
    files/<path>                below the data folder
    links.json, facts.json      the links among the files; what the databases held
    sealed                      only where all the others are sealed: the id of the key

What is unchanged since the snapshot before is neither read again (files) nor stored again (pieces).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from gitdeploy.data import files, pieces, seen
from gitdeploy.data.engine import Engine, Instant
from gitdeploy.data.look import Look
from gitdeploy.data.seen import Seen
from gitdeploy.domain.digest import Digest
from gitdeploy.domain.manifest import Manifest
from gitdeploy.domain.snapshot import Facts
from gitdeploy.domain.tree import Entry, Folder
from gitdeploy.domain.tree_path import TreePath
from gitdeploy.errors import Failed, GitdeployError
from gitdeploy.store.artifacts import Store
from gitdeploy.store.publish import NewFile, Published

FILES, DATABASES, FACTS, LINKS, SEALED = b"files/", b"databases/", b"facts.json", b"links.json", b"sealed"
_PIECE = 1 << 20  # bytes

LONGEST_LOOK = 1.0
"""Seconds that a look at all files may take to be part of one instant: some 100,000 files."""


@dataclass(frozen=True)
class Source:
    """A database to be captured, or one to be filled."""

    name: str
    engine: Engine
    url: str

    @property
    def above(self) -> TreePath:
        return DATABASES + os.fsencode(self.name.replace(":", "/")) + b"/"


@dataclass(frozen=True)
class Place:
    """Where an environment keeps what is captured: its data folder and its databases; a file that remembers what was
    seen; and a folder for what is written on the way. `sealed`: nobody is to read it without the key.
    """

    data: Path
    databases: Sequence[Source]
    index: Path
    work: Path
    sealed: bool = False

    @property
    def captured_as_databases(self) -> frozenset[TreePath]:
        """The files of SQLite databases, which are no files here."""
        found = files.of_databases(one.name.partition(":")[2] for one in self.databases)
        return frozenset(FILES + path for path in found)


@dataclass(frozen=True)
class Captured:
    """`published` holds the artifact until it is released. `newer` files were written after the instant of the
    databases.
    """

    published: Published
    facts: dict[str, Facts]
    newer: int

    @property
    def stored(self) -> int:
        """Bytes that were not in the store before."""
        fresh, folders = self.published.fresh, self.published.manifest.folder.folders()
        found = (one for folder in folders for one in folder.entries.values() if isinstance(one, Entry))
        return sum({one.digest: one.size for one in found if one.digest in fresh}.values())


def capture(
    store: Store,
    place: Place,
    before: Digest | None,
    quiet: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
) -> Captured:
    """Store what is there now. `before` is the last snapshot of the same place. Raises Failed.

    In a block of `quiet()` nobody changes anything, if it can be helped. It is asked for where there are several things
    to be captured in one instant, and held while databases begin their snapshots and files are looked at (not read);
    where that took longer than LONGEST_LOOK before, it is held for the databases alone.
    """
    base, known = _known(store, place, before)
    with contextlib.ExitStack() as opened:
        look = opened.enter_context(_look(place, known))
        if place.databases:
            # Files are copied first; in the instant of the databases only what changed meanwhile is left to read.
            first = opened.enter_context(_files(store, place, base, look))
            last = opened.enter_context(_look(place, look.now))
            instants = _instants(place, look, last, opened, quiet)
            like, base, found = base, first.manifest, last.fixed()
        else:
            like, last, instants, found = base, look, [], look.read()
        dumps = Path(opened.enter_context(tempfile.TemporaryDirectory(dir=place.work)))
        told: dict[str, Facts] = {}
        written: set[TreePath] = {SEALED}
        everything = _everything(place, last, found, instants, dumps, told, written)
        gone = _gone(base.folder, b"", last.now, written) if base else ()
        published = store.publish(_put_away(store, place, everything), base=base, removed=gone, like=like)
        seen.write(place.index, last.now, str(published.manifest.root))
        return Captured(published, told, len(last.newer))


def restore(
    store: Store, artifact: Digest, *, data: Path | None, databases: Iterable[Source], work: Path
) -> None:
    """Fill the empty folder `data` and empty databases from a snapshot. Every byte is checked before the first is
    written: raises NotProven when one is not as it was stored.
    """
    manifest = store.check(artifact)
    if data is not None:
        _put_files(store, manifest, data)
    for one in databases:
        with tempfile.TemporaryDirectory(dir=work) as folder:
            _put_dump(store, manifest, one, Path(folder))
            one.engine.load(one.url, Path(folder))


# Private


def _look(place: Place, before: Seen) -> Look:
    return Look(place.data, FILES, place.captured_as_databases, before)


def _instants(
    place: Place,
    first: Look,
    last: Look,
    opened: contextlib.ExitStack,
    quiet: Callable[[], AbstractContextManager[object]],
) -> list[Instant]:
    """Begin the snapshots of all databases, and take the last look at the files with them."""
    with_files = any(first.now.folders.values()) and first.seconds <= LONGEST_LOOK
    is_needed = with_files or len(place.databases) > 1
    with quiet() if is_needed else contextlib.nullcontext():
        instant = files.tick()
        found = [opened.enter_context(one.engine.instant(one.url)) for one in place.databases]
        if with_files:
            last.fix(instant)
    if not with_files:
        last.fix(instant)
    return found


def _files(store: Store, place: Place, base: Manifest | None, look: Look) -> Published:
    before = base.folder.find(FILES[:-1]) if base else None
    gone = _gone(before, FILES, look.now, frozenset()) if isinstance(before, Folder) else ()
    return store.publish(_put_away(store, place, look.read()), base=base, removed=gone, like=base)


def _put_away(store: Store, place: Place, found: Iterable[NewFile]) -> Iterator[NewFile]:
    """As they come into the store: sealed, with a word about it, or as they are."""
    if not place.sealed:
        yield from found
        return
    for file in found:
        yield NewFile(file.path, file.kind, store.sealing.seal(file.content))
    yield NewFile(SEALED, "file", (store.sealing.key_id.encode(),))


def _everything(
    place: Place,
    look: Look,
    found: Iterable[NewFile],
    instants: list[Instant],
    dumps: Path,
    told: dict[str, Facts],
    written: set[TreePath],
) -> Iterator[NewFile]:
    for file in found:
        written.add(file.path)
        yield file
    for number, (one, instant) in enumerate(zip(place.databases, instants, strict=True)):
        folder = dumps / str(number)
        folder.mkdir()
        instant.dump(folder)
        told[one.name] = instant.facts()
        for path, content in _dumped(one, folder):
            written.add(path)
            yield NewFile(path, "file", (content,))
        shutil.rmtree(folder)
    text = json.dumps({name: one.as_json() for name, one in told.items()}, sort_keys=True)
    for path, content in ((FACTS, text.encode()), (LINKS, look.now.links_json())):
        written.add(path)
        yield NewFile(path, "file", (content,))


def _dumped(one: Source, folder: Path) -> Iterator[tuple[TreePath, bytes]]:
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            yield from pieces.cut(one.above + os.fsencode(file.relative_to(folder)), file)


def _known(store: Store, place: Place, before: Digest | None) -> tuple[Manifest | None, Seen]:
    """What the last snapshot holds, and what its files looked like; nothing when either is gone."""
    if before is None:
        return None, Seen()
    try:
        base = store.load(before)
        mark = store.sealing.key_id.encode() if place.sealed else None
        if (base[SEALED].digest if SEALED in base else None) != (mark and Digest.of(mark)):
            return None, Seen()  # sealed otherwise: nothing of it can be taken over
        known, artifact = seen.read(place.index)
    except (GitdeployError, OSError):
        return None, Seen()
    except ValueError:
        return base, Seen()
    return base, known if artifact == before else Seen()


def _gone(folder: Folder, above: TreePath, now: Seen, written: Set[TreePath]) -> Iterator[TreePath]:
    """What was in this folder and is not there any more."""
    there = now.folders.get(above, {})
    for name, one in folder.entries.items():
        if isinstance(one, Folder):
            yield from _gone(one, above + name + b"/", now, written)
        elif name not in there and above + name not in written:
            yield above + name


def _put_files(store: Store, manifest: Manifest, data: Path) -> None:
    for path, entry in manifest.folder.walk():
        if path.startswith(FILES):
            name = os.fsdecode(path.removeprefix(FILES))
            files.put(data, name, entry.kind, _plain(store, manifest, entry.digest))
    links = b"".join(_plain(store, manifest, manifest[LINKS].digest)) if LINKS in manifest else b"{}"
    for name, target in json.loads(links).items():
        link = data / name.removeprefix(os.fsdecode(FILES))
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)


def _put_dump(store: Store, manifest: Manifest, one: Source, folder: Path) -> None:
    found = [path for path in manifest if path.startswith(one.above)]
    if not found:
        raise Failed(
            f"The snapshot holds no database {one.name}.", "See: gitdeploy snapshot show SITE SNAPSHOT"
        )
    for path in found:
        target = folder / os.fsdecode(path.removeprefix(one.above))
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "xb") as file:
            file.writelines(_plain(store, manifest, manifest[path].digest))
    pieces.join(folder)


def _plain(store: Store, manifest: Manifest, digest: Digest) -> Iterator[bytes]:
    """What was captured, whether it is stored sealed or not."""
    stored = _pieces(store.blob(digest))
    return store.sealing.open(stored) if SEALED in manifest else stored


def _pieces(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            yield piece
