"""A home for slots. Every driver that can run apps is a parameter here and passes the same tests."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from apps_support import Slots, keeper_of

from gitdeploy.runtime.apps import driver, unit
from gitdeploy.store.home import Home


@pytest.fixture(params=[driver], ids=[unit.manager().kind])
def slots(request: pytest.FixtureRequest) -> Iterator[Slots]:
    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="gd-"))
    folder.chmod(0o755)
    made = Slots(Home(folder), request.param)
    yield made
    for app in made.started:
        with contextlib.suppress(Exception):
            for pid in made.pids(app):
                os.kill(pid, signal.SIGKILL)
        made.driver.drain(app)
    shutil.rmtree(folder)


__all__ = ["keeper_of"]
