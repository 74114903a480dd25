"""What a standby has is what was shipped, whatever was there before."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from gitdeploy.domain.backup import Contents, Item
from gitdeploy.domain.digest import Digest
from gitdeploy.errors import NotProven
from gitdeploy.service import follow
from gitdeploy.store.backup_place import BackupPlace
from gitdeploy.store.elsewhere import elsewhere
from gitdeploy.store.home import Home

REFS = "repos/blog.git/refs/heads"


class Ships:
    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.place = BackupPlace(elsewhere(str(folder), {}), "", new=True)
        self.numbers = itertools.count(1)

    def ship(self, *names: str, lost: bool = False) -> dict[str, bytes]:
        """A shipment of these files; `lost` without the bytes of the last."""
        number, source, items = next(self.numbers), self.folder / "source", []
        files = {name: f"{name} {number}".encode() for name in names}
        for name, data in files.items():
            source.write_bytes(data)
            digest = Digest.of(data)
            if not (lost and name == names[-1]):
                self.place.put(digest, source, self.folder)
            items.append(Item(name, 0o644, len(data), digest, number))
        folders = {str(above): 0o755 for name in names for above in Path(name).parents if above.name}
        self.place.write(Contents(f"00000001-shp_{number:04}", "", "1", folders, tuple(items)))
        return files


def there(home: Home) -> dict[str, bytes]:
    found = {path.relative_to(home.root): path for path in home.root.rglob("*") if path.is_file()}
    return {str(name): path.read_bytes() for name, path in found.items() if name.parts[0] != "standby"}


def test_a_folder_comes_where_a_file_was_and_the_other_way_round(tmp_path):
    ships, home = Ships(tmp_path / "place"), Home(tmp_path / "home")
    follow.begin(home, str(ships.folder))
    for names in ([f"{REFS}/fix"], [f"{REFS}/fix/it", f"{REFS}/a"], [f"{REFS}/fix", f"{REFS}/a/b/c"]):
        files = ships.ship(*names)
        follow.catch_up(home, ships.place)
        assert there(home) == files

    # One that came half is followed by another, or by what was there before.
    for half, names in (
        ([f"{REFS}/fix/a/b", f"{REFS}/a"], [f"{REFS}/fix/a", f"{REFS}/b"]),
        ([f"{REFS}/fix", f"{REFS}/b/c", f"{REFS}/x"], [f"{REFS}/fix/a", f"{REFS}/b"]),
    ):
        ships.ship(*half, "lost", lost=True)
        with pytest.raises(NotProven):
            follow.catch_up(home, ships.place)
        files = ships.ship(*names)
        follow.catch_up(home, ships.place)
        assert there(home) == files
