"""What an artifact holds: an immutable mapping of path to entry, under the digest of its root folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Literal, TypeAlias

from gitdeploy.domain.digest import Digest
from gitdeploy.domain.links import check_links, resolve
from gitdeploy.domain.tree import Entry, Folder
from gitdeploy.domain.tree_path import TreePath, check_folder, check_name, show
from gitdeploy.errors import Invalid

__all__ = ["EMPTY", "Entry", "Manifest"]


Links: TypeAlias = Mapping[TreePath, bytes]
"""Targets of links by path."""
NO_LINKS: Links = {}


class Manifest(Mapping[TreePath, Entry]):
    """Equal when the roots are equal. Unchanged folders are shared between a manifest and what came of it."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    @classmethod
    def of(cls, entries: Mapping[TreePath, Entry]) -> Manifest:
        """Raises Invalid, naming the path, for a path or link that `changed` would refuse."""
        return EMPTY.changed(entries, ())

    @property
    def root(self) -> Digest:
        """The artifact's name: the digest of the root folder's listing."""
        return self.folder.digest

    @property
    def files(self) -> int:
        """How many files, links not counted."""
        return self.folder.files

    @property
    def bytes(self) -> int:
        """The size of all files together, equal ones counted each time."""
        return self.folder.total

    @cached_property
    def blobs(self) -> frozenset[Digest]:
        """The digests of all files."""
        return frozenset(entry.digest for _, entry in self.folder.walk() if entry.kind != "link")

    def changed(self, put: Mapping[TreePath, Entry], removed: Iterable[TreePath]) -> Manifest:
        """This tree without the paths `removed`, then with `put` (new or replaced) in it.

        Costs as much as the folders touched. Raises Invalid, naming the path: for a removed path that is not
        there, a path that is not legal (`tree_path`), a file where a folder is or the other way round, and a
        link that leads out of the tree or in a circle.
        """
        draft = _Draft(self.folder)
        for path in removed:
            draft.remove(path)
        for path, entry in put.items():
            draft.put(path, entry)
        folder = draft.freeze()
        if folder.links:
            check_links(folder)
        return Manifest(folder)

    def linked(self, links: Links) -> Folder:
        """The tree with a link at each of these paths, in place of what is there; it may lead out of the tree, so
        this is nothing to be stored.
        """
        draft = _Draft(self.folder)
        for path, target in links.items():
            draft.take(path)
            draft.put(path, Entry.link(target))
        return draft.freeze() if links else self.folder

    def resolved(self) -> Manifest:
        """The same tree with every link replaced by what it leads to. Raises as `links.resolve`."""
        return self._resolved if self.folder.links else self

    @cached_property
    def _resolved(self) -> Manifest:
        return Manifest(resolve(self.folder))

    def kind(self, path: TreePath) -> Literal["file", "folder"] | None:
        """What lies at a path of a resolved manifest; the empty path is the top."""
        found = self.folder.find(path)
        if found is None:
            return None
        return "folder" if isinstance(found, Folder) else "file"

    def __getitem__(self, path: TreePath) -> Entry:
        found = self.folder.find(path)
        if not isinstance(found, Entry):
            raise KeyError(path)
        return found

    def __iter__(self) -> Iterator[TreePath]:
        return (path for path, _ in self.folder.walk())

    def __len__(self) -> int:
        return self.folder.files + self.folder.links

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Manifest) and other.root == self.root

    def __hash__(self) -> int:
        return hash(self.root)

    def __repr__(self) -> str:
        return f"<Manifest {self.root.short}: {self.files} files>"


class _Draft:
    """A tree being changed: the touched folders as dictionaries, everything else as it was."""

    def __init__(self, folder: Folder) -> None:
        self._before = folder
        self._top: _Names = _Names(folder.entries)
        self._open: dict[TreePath, _Names] = {b"": self._top}

    def remove(self, path: TreePath) -> None:
        above, _, name = path.rpartition(b"/")
        # Checked first, as opening the folders of a path that is not there would make them.
        if not isinstance(self._before.find(path), Entry) or name not in self._folder(above, path):
            raise Invalid(f"{show(path)} cannot be removed: it is not there.")
        del self._folder(above, path)[name]

    def take(self, path: TreePath) -> None:
        """Remove whatever is there."""
        above, _, name = path.rpartition(b"/")
        self._folder(above, path).pop(name, None)
        self._forget(path)

    def put(self, path: TreePath, entry: Entry) -> None:
        above, _, name = path.rpartition(b"/")
        folder = self._folder(above, path)
        check_name(name, path)
        if isinstance(folder.get(name), _Names | Folder):
            if not _is_empty(folder[name]):
                raise _clash(path)
            self._forget(path)
        folder[name] = entry

    def freeze(self) -> Folder:
        return _frozen(self._top)

    def _folder(self, path: TreePath, wanted: TreePath) -> _Names:
        """The folder at `path`, ready to be changed; made when it is not there."""
        known = self._open.get(path)
        if known is not None:
            return known
        check_folder(path)
        above, _, name = path.rpartition(b"/")
        parent = self._folder(above, wanted)
        found = parent.get(name)
        if isinstance(found, Entry):
            raise _clash(path)
        made = _Names(found.entries) if isinstance(found, Folder) else _Names()
        parent[name] = self._open[path] = made
        return made

    def _forget(self, path: TreePath) -> None:
        """A folder that was emptied gives way to a file of its name."""
        for one in [one for one in self._open if one == path or one.startswith(path + b"/")]:
            del self._open[one]


class _Names(dict[bytes, "Entry | Folder | _Names"]):
    """A folder of a draft."""


def _frozen(draft: _Names) -> Folder:
    entries: dict[bytes, Entry | Folder] = {}
    for name, one in draft.items():
        kept = _frozen(one) if isinstance(one, _Names) else one
        if isinstance(kept, Entry) or kept.entries:
            entries[name] = kept
    return Folder(entries)


def _is_empty(one: Entry | Folder | _Names) -> bool:
    return isinstance(one, _Names) and all(_is_empty(below) for below in one.values())


def _clash(path: TreePath) -> Invalid:
    return Invalid(f"{show(path)} is both a file and a folder.", "Rename one of the two.")


EMPTY = Manifest(Folder({}))
