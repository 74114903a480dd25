"""What differs between two artifacts, path by path."""

from __future__ import annotations

from dataclasses import dataclass

from gitdeploy.domain.manifest import Manifest
from gitdeploy.domain.tree import Entry, Folder
from gitdeploy.domain.tree_path import TreePath


@dataclass(frozen=True)
class ContentDiff:
    """Paths in the order of the trees. A path is changed when its kind, bytes or target are others."""

    added: tuple[TreePath, ...]
    changed: tuple[TreePath, ...]
    removed: tuple[TreePath, ...]

    @property
    def is_empty(self) -> bool:
        return not (self.added or self.changed or self.removed)


def diff(old: Manifest, new: Manifest) -> ContentDiff:
    """Costs as much as the folders that differ: equal ones are not looked into."""
    comparison = _Comparison()
    comparison.folders(old.folder, new.folder, b"")
    return ContentDiff(tuple(comparison.added), tuple(comparison.changed), tuple(comparison.removed))


class _Comparison:
    def __init__(self) -> None:
        self.added: list[TreePath] = []
        self.changed: list[TreePath] = []
        self.removed: list[TreePath] = []

    def folders(self, old: Folder, new: Folder, below: TreePath) -> None:
        if old.digest == new.digest:
            return
        for name, now in new.entries.items():
            was = old.entries.get(name)
            if was is not now:
                self._one(was, now, below + name)
        for name, was in old.entries.items():
            if name not in new.entries:
                self.removed += _paths(was, below + name)

    def _one(self, was: Entry | Folder | None, now: Entry | Folder, path: TreePath) -> None:
        if isinstance(was, Folder) and isinstance(now, Folder):
            self.folders(was, now, path + b"/")
        elif isinstance(was, Entry) and isinstance(now, Entry):
            if was != now:
                self.changed.append(path)
        else:
            self.removed += _paths(was, path)
            self.added += _paths(now, path)


def _paths(one: Entry | Folder | None, path: TreePath) -> list[TreePath]:
    if isinstance(one, Folder):
        return [found for found, _ in one.walk(path + b"/")]
    return [path] if one else []
