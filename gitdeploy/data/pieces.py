"""Large files of a dump, cut so that what did not change is stored once.

Text is cut after rows, where the row's own checksum says so: a row that was added or removed changes the piece it is
in and no other. Pages are cut at even distances: they stay where they are.
"""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

from gitdeploy.domain.tree_path import TreePath

WHOLE = 256 * 1024
"""Bytes up to which a file is one piece."""
FOLDER = ".pieces"
"""What stands behind the name of a file that is a folder of pieces."""
_PAGES = 128 * 1024  # bytes
_LEAST, _MOST = 64 * 1024, 4 << 20  # bytes of rows in a piece
_ONE_IN = 0x1FF  # rows end a piece
_SQLITE = b"SQLite format 3\0"


def cut(path: TreePath, file: Path) -> Iterator[tuple[TreePath, bytes]]:
    """The pieces of a file that is to be called `path`, each with a path of its own."""
    with open(file, "rb") as opened:
        first = opened.read(WHOLE + 1)
        if len(first) <= WHOLE:
            yield path, first
            return
        opened.seek(0)
        pieces = _pages(file) if first.startswith(_SQLITE) else _rows(file)
        for number, piece in enumerate(pieces):
            yield path + f"{FOLDER}/{number:08d}".encode(), piece


def join(folder: Path) -> None:
    """Make whole files of all folders of pieces below `folder`, in place."""
    for pieces in sorted(folder.rglob(f"*{FOLDER}")):
        whole = pieces.with_name(pieces.name.removesuffix(FOLDER))
        with open(whole, "wb") as target:
            for piece in sorted(pieces.iterdir()):
                with open(piece, "rb") as source:
                    shutil.copyfileobj(source, target, 1 << 20)
                piece.unlink()
        pieces.rmdir()


def _pages(file: Path) -> Iterator[bytes]:
    with open(file, "rb") as opened:
        while piece := opened.read(_PAGES):
            yield piece


def _rows(file: Path) -> Iterator[bytes]:
    with open(file, "rb", buffering=1 << 20) as opened:
        piece: list[bytes] = []
        size = 0
        for row in opened:
            piece.append(row)
            size += len(row)
            if size >= _LEAST and (zlib.crc32(row) & _ONE_IN == 0 or size >= _MOST):
                yield b"".join(piece)
                piece, size = [], 0
        if piece:
            yield b"".join(piece)
