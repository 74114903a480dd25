"""Folders that go over the wire: a tree to its builder, and back what was built of it.

What comes back was made by a stranger's build on a machine that may be theirs by now: it is written below one new
folder and nowhere else, and is never more than it may be.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from gitdeploy.build.wire import END, EXEC, FILE, LINK, PIECE, PIECE_SIZE, Gone, Wire
from gitdeploy.build.workspace import MOST_FILES
from gitdeploy.domain.tree_path import show
from gitdeploy.domain.units import print_size
from gitdeploy.errors import Failed, Refused
from gitdeploy.store import durable
from gitdeploy.store.output_folder import folder_files

_LONGEST = 4095  # bytes of a path or of where a link leads: PATH_MAX
_EACH = 4096  # what a file or link counts at least

Entry = tuple[bytes, bytes, Iterator[bytes]]


def tree(folder: Path) -> Iterator[Entry]:
    """A checkout of ours, in which nothing has run yet."""
    yield from _below(os.fsencode(folder), b"")


def output(folder: Path, inside: Path) -> Iterator[Entry]:
    """What a build left, read as `folder_files` reads it."""
    for one in folder_files(folder, inside=inside):
        kind = {"link": LINK, "exec": EXEC}.get(one.kind, FILE)
        yield kind, one.path, iter((one.target,)) if kind == LINK else iter(one.content)


def receive(wire: Wire, first: tuple[bytes, bytes] | None, folder: Path, most: int) -> None:
    """Write the files that come into the new `folder`, at most `most` bytes; `first` is a frame that came already.

    Raises Refused for a path that leads out of it, comes twice or through something else, Failed when it is too much
    or the disk is full, and Gone.
    """
    folder.mkdir()
    room = _Room(most)
    links: list[tuple[Path, bytes]] = []
    kind, payload = first or wire.receive()
    while kind in (FILE, EXEC, LINK):
        room.take(_EACH)
        if kind == LINK:
            path, target = _link(payload)
            links.append((_inside(folder, path), target))
            kind, payload = wire.receive()
            continue
        where = _inside(folder, payload)
        with _writing(where):
            where.parent.mkdir(parents=True, exist_ok=True)
            with open(where, "xb", buffering=0) as file:
                if kind == EXEC:
                    os.fchmod(file.fileno(), 0o755)
                while (frame := wire.receive())[0] == PIECE:
                    room.take(len(frame[1]))
                    piece = memoryview(frame[1])
                    while piece:  # what the disk still has room for is written without a word
                        piece = piece[file.write(piece) :]
        kind, payload = frame
    if kind != END:
        raise Gone("it sent what no builder sends")
    # No link is there before all folders are, so none can lead what is written somewhere else.
    for where, _ in links:
        with _writing(where):
            where.parent.mkdir(parents=True, exist_ok=True)
    for where, target in links:
        with _writing(where):
            where.symlink_to(os.fsdecode(target))


class _Room:
    def __init__(self, most: int) -> None:
        self._most = self._left = most
        self._files = 0

    def take(self, size: int) -> None:
        self._left -= size
        self._files += size == _EACH
        if self._left < 0 or self._files > MOST_FILES:
            raise Failed(
                f"The build wrote more than {print_size(self._most)}.",
                "Write less, or remove what is not needed.",
            )


def _link(payload: bytes) -> tuple[bytes, bytes]:
    length = struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else 0
    path, target = payload[2 : 2 + length], payload[2 + length :]
    if not target or b"\0" in target or len(target) > _LONGEST:
        raise Refused(
            f"The link {show(path)} in what the builder sent leads nowhere.", "Look at the builder."
        )
    return path, target


def _inside(folder: Path, path: bytes) -> Path:
    """Raises Refused unless `path` leads from `folder` further into it."""
    parts = path.split(b"/")
    if len(path) > _LONGEST or b"\0" in path or any(part in (b"", b".", b"..") for part in parts):
        raise Refused(f"{show(path)} in what the builder sent is no path.", "Look at the builder.")
    return folder / os.fsdecode(path)


@contextlib.contextmanager
def _writing(where: Path) -> Iterator[None]:
    try:
        yield
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        said = show(os.fsencode(where.name))
        raise Refused(
            f"{said} in what the builder sent stands where something else does.", "Look at the builder."
        ) from None
    except OSError as error:
        raise durable.said(error, where) from error


def _below(folder: bytes, above: bytes) -> Iterator[Entry]:
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda one: one.name)
    for one in found:
        path = above + one.name
        if one.is_symlink():
            yield LINK, path, iter((os.fsencode(Path(os.fsdecode(one.path)).readlink()),))
        elif one.is_dir():
            yield from _below(one.path, path + b"/")
        else:
            kind = EXEC if one.stat().st_mode & 0o100 else FILE
            yield kind, path, _content(one.path)


def _content(path: bytes) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while data := file.read(PIECE_SIZE):
            yield data
