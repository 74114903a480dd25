"""The tree an artifact is: entries in folders, every folder named by the hash of its listing.

A folder's listing has one line an entry, sorted by the bytes of the name as written, fields separated by one
space:

    file <SHA-256 of the bytes> <size> <name>
    exec <SHA-256 of the bytes> <size> <name>
    link <target> <size of the target> <name>
    tree <SHA-256 of that folder's listing> <bytes of all files below> <name>

Names and targets are percent-encoded (`tree_path.quote`). Folders are immutable and shared: a changed tree
has new folders only along the changed paths.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Literal, NamedTuple, TypeAlias

from gitdeploy.domain.digest import Digest
from gitdeploy.domain.tree_path import TreePath, all_quoted, quote

Kind: TypeAlias = Literal["file", "exec", "link"]


class Entry(NamedTuple):
    """A file, an executable file or a symbolic link. A link's digest is its target's: no blob has it."""

    kind: Kind
    digest: Digest
    size: int
    target: bytes = b""

    @classmethod
    def link(cls, target: bytes) -> Entry:
        return cls("link", Digest.of(target), len(target), target)

    def line(self, name: str) -> str:
        """One line of a listing or a manifest; `name` is quoted already."""
        named = quote(self.target) if self.kind == "link" else self.digest
        return f"{self.kind} {named} {self.size} {name}\n"


class Folder:
    """One folder: its entries by name and what is true of everything below it."""

    __slots__ = ("digest", "entries", "files", "height", "links", "subfolders", "total")

    def __init__(self, entries: Mapping[bytes, Entry | Folder]) -> None:
        quoted = all_quoted(entries)
        self.entries = {name: entries[name] for _, name in quoted}
        self.files = 0
        self.links = 0
        self.total = 0
        self.height = 0
        self.subfolders: list[Folder] = []
        lines = []
        for text, name in quoted:
            one = entries[name]
            lines.append(one.line(text))
            if isinstance(one, Folder):
                self.subfolders.append(one)
                self.files += one.files
                self.links += one.links
                self.total += one.total
                self.height = max(self.height, one.height + 1)
            elif one.kind == "link":
                self.links += 1
            else:
                self.files += 1
                self.total += one.size
        self.digest = Digest.of("".join(lines).encode("ascii"))

    def line(self, name: str) -> str:
        return f"tree {self.digest} {self.total} {name}\n"

    def listing(self) -> bytes:
        """The text whose SHA-256 is `digest`."""
        return "".join(one.line(quote(name)) for name, one in self.entries.items()).encode("ascii")

    def find(self, path: TreePath) -> Entry | Folder | None:
        """What lies at `path` (the empty path is this folder); links are not followed."""
        at: Entry | Folder | None = self
        for name in path.split(b"/") if path else ():
            at = at.entries.get(name) if isinstance(at, Folder) else None
        return at

    def walk(self, below: TreePath = b"") -> Iterator[tuple[TreePath, Entry]]:
        """Every entry with its path, folder by folder, each in the order of its listing."""
        for name, one in self.entries.items():
            if isinstance(one, Folder):
                yield from one.walk(below + name + b"/")
            else:
                yield below + name, one

    def folders(self, skip: Container[Digest] = ()) -> Iterator[Folder]:
        """This folder and those below it, children before parents, each digest once.

        One whose digest is in `skip` is left out with all below it.
        """
        yield from self._folders(skip, set())

    def _folders(self, skip: Container[Digest], seen: set[Digest]) -> Iterator[Folder]:
        if self.digest in seen or self.digest in skip:
            return
        seen.add(self.digest)
        for folder in self.subfolders:
            yield from folder._folders(skip, seen)
        yield self
