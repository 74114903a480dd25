"""Which files are to come, change and go between two folders, found by what either holds and held before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from gitdeploy.domain.content import NAMED
from gitdeploy.domain.move_outcome import MovedFiles


@dataclass(frozen=True)
class FileChange:
    """Paths. `conflicts` are among those that come, change or go: both sides have changed them. `kept` are those that
    only the target has changed, and that stay.
    """

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.added or self.changed or self.removed)

    @property
    def coming(self) -> tuple[str, ...]:
        return (*self.added, *self.changed)

    def among(self, paths: Iterable[str]) -> FileChange:
        """Of these paths only."""
        which = frozenset(paths)
        return FileChange(**{
            name: tuple(path for path in found if path in which) for name, found in asdict(self).items()
        })  # fmt: skip

    def as_json(self) -> MovedFiles:
        """Counts, and of each kind the first paths."""
        return {
            "added": len(self.added), "changed": len(self.changed), "removed": len(self.removed),
            "conflicts": len(self.conflicts), "kept": len(self.kept),
            "paths": {
                "added": list(self.added[:NAMED]), "changed": list(self.changed[:NAMED]),
                "removed": list(self.removed[:NAMED]), "conflicts": list(self.conflicts[:NAMED]),
                "kept": list(self.kept[:NAMED]),
            },
        }  # fmt: skip


def compare(
    source: Mapping[str, str], target: Mapping[str, str], base: Mapping[str, str] | None
) -> FileChange:
    """Each maps a path to what tells its content. `base` is what both sides held when they were the same; None when
    nobody knows: then all that would be changed or removed is a conflict.
    """
    found: dict[str, list[str]] = {"added": [], "changed": [], "removed": [], "conflicts": [], "kept": []}
    for path in sorted({*source, *target}):
        mine, its, was = source.get(path), target.get(path), (base or {}).get(path)
        if mine == its:
            continue
        if base is not None and mine == was:
            found["kept"].append(path)
            continue
        found["added" if its is None else "removed" if mine is None else "changed"].append(path)
        if its != was:
            found["conflicts"].append(path)
    return FileChange(**{name: tuple(paths) for name, paths in found.items()})


def in_the_way(coming: Iterable[str], staying: Iterable[str]) -> str:
    """A path that stays and cannot, since one that comes is to be a folder there, or lies below it; else empty."""
    stays = frozenset(staying)
    comes = frozenset(coming)
    for path in sorted(stays - comes):
        if any(above in comes for above in _above(path)):
            return path
    return next((above for path in sorted(comes) for above in _above(path) if above in stays), "")


# Private


def _above(path: str) -> Iterable[str]:
    parts = path.split("/")
    return ("/".join(parts[:depth]) for depth in range(1, len(parts)))
