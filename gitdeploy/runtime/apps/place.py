"""The files of a running slot. The keeper works in the slot's folder and knows it as "."; others by its path."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from gitdeploy.domain.place import FolderName, SlotName
from gitdeploy.store.home import Home


@dataclass(frozen=True)
class App:
    """A started release, by name: nothing above the driver knows it by pid or port."""

    home: Home
    site: str
    env: str
    slot: str

    def __post_init__(self) -> None:
        FolderName.parse(self.site)
        FolderName.parse(self.env)
        SlotName.parse(self.slot)

    @property
    def folder(self) -> Path:
        return self.home.sites / self.site / self.env / "slots" / self.slot

    @property
    def logs(self) -> Path:
        return self.home.logs / "apps" / self.site / self.env


@dataclass(frozen=True)
class Files:
    """What a keeper makes in the slot's `folder`. All but the record is gone when the slot is retired."""

    folder: Path

    @property
    def web(self) -> Path:
        """Where the edge connects to."""
        return self.folder / "web.sock"

    @property
    def control(self) -> Path:
        return self.folder / "control.sock"

    @property
    def lock(self) -> Path:
        """Held by the keeper for as long as it lives."""
        return self.folder / "keeper.lock"

    @property
    def record(self) -> Path:
        return self.folder / "state.json"

    @property
    def own(self) -> Path:
        """The app's own folder: `home/`, `tmp/`, and a socket for each copy that makes one."""
        return self.folder / "own"

    @property
    def out(self) -> Path:
        """A pipe for what each copy says; the app cannot put something else in its place."""
        return self.folder / "out"

    def clean(self) -> None:
        """Take away all but the record, and the lock last: another keeper may begin from then on."""
        for folder in (self.own, self.out):
            shutil.rmtree(folder, ignore_errors=True)
        for path in (self.web, self.control, self.lock):
            path.unlink(missing_ok=True)

    @property
    def key(self) -> str:
        """Names the slot among all of the machine, for marks and control groups."""
        return hashlib.sha256(bytes(self.folder.resolve())).hexdigest()[:16]
