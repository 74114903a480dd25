from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from gitdeploy.process import Command, check
from gitdeploy.store.artifacts import Store
from gitdeploy.store.home import Home

# A busy machine is no failure.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def store(home: Home) -> Store:
    return Store(home)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 2 MiB and 4,000 files."""
    folder = tmp_path / "disk"
    folder.mkdir()
    check(Command(("mount", "-t", "tmpfs", "-o", "size=2m,nr_inodes=4000", "small", str(folder))))
    yield folder
    check(Command(("umount", str(folder))))
