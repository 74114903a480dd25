"""A manifest as text: all of it, or what changed since an earlier one.

    gitdeploy-manifest 1 full
    file <SHA-256> <size> <path>              also `exec`, and `link <target> <size of the target> <path>`
    …

    gitdeploy-manifest 1 delta <root of the earlier one> <number of deltas down to a full one>
    file <SHA-256> <size> <path>              put: new or replaced
    gone - - <path>                           no longer there
    …

Paths and targets are percent-encoded, lines end in one line feed, fields are separated by one space.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import cast

from gitdeploy.domain.content_diff import diff
from gitdeploy.domain.digest import Digest
from gitdeploy.domain.manifest import EMPTY, Manifest
from gitdeploy.domain.tree import Entry, Kind
from gitdeploy.domain.tree_path import TreePath, quote, show, unquote
from gitdeploy.errors import Invalid

_TITLE = "gitdeploy-manifest 1"


@dataclass(frozen=True)
class Header:
    """`base` is the root the text builds upon (None: it is full), `depth` the deltas down to a full one."""

    base: Digest | None = None
    depth: int = 0

    @classmethod
    def parse(cls, line: str) -> Header:
        match line.removeprefix(_TITLE).split(" "):
            case ["", "full"]:
                return cls()
            case ["", "delta", base, depth] if depth.isdecimal():
                return cls(Digest.parse(base), int(depth))
        raise Invalid(f"{line[:80]!r} is not the first line of a manifest.")


def full_text(manifest: Manifest) -> bytes:
    lines = (entry.line(quote(path)) for path, entry in manifest.folder.walk())
    return _text("full", lines)


def delta_text(manifest: Manifest, base: Manifest, depth: int) -> bytes:
    """`manifest` as a change of `base`; `depth` counts this delta."""
    change = diff(base, manifest)
    gone = (f"gone - - {quote(path)}\n" for path in change.removed)
    put = (manifest[path].line(quote(path)) for path in chain(change.added, change.changed))
    return _text(f"delta {base.root} {depth}", chain(gone, put))


def read(text: bytes, base: Manifest = EMPTY) -> Manifest:
    """The manifest a text stands for, given the one its header names. Raises Invalid for anything else."""
    try:
        _, *lines, end = text.decode("ascii").split("\n")
    except ValueError as error:
        raise Invalid("The manifest is not a text of ASCII lines.") from error
    if end:
        raise Invalid("The manifest does not end in a line feed.")
    put: dict[TreePath, Entry] = {}
    removed: list[TreePath] = []
    for line in lines:
        path, entry = _parse_line(line)
        if entry is None:
            removed.append(path)
        elif put.setdefault(path, entry) is not entry:
            raise Invalid(f"The manifest lists {show(path)} twice.")
    return base.changed(put, removed)


def _text(form: str, lines: Iterator[str]) -> bytes:
    return f"{_TITLE} {form}\n{''.join(lines)}".encode("ascii")


def _parse_line(line: str) -> tuple[TreePath, Entry | None]:
    match line.split(" "):
        case ["gone", "-", "-", path]:
            return unquote(path), None
        case ["link", target, size, path] if str(len(unquote(target))) == size:
            return unquote(path), Entry.link(unquote(target))
        case ["file" | "exec" as kind, digest, size, path] if size.isdecimal():
            return unquote(path), Entry(cast(Kind, kind), Digest.parse(digest), int(size))
    raise Invalid(f"{line[:80]!r} is not a line of a manifest.")
