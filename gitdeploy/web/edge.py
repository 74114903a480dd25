"""The edge as the command line sees and stops it. It outlives the server, so none is asked, or needed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from gitdeploy.errors import Busy
from gitdeploy.runtime.edge import driver
from gitdeploy.service import daemon
from gitdeploy.store.home import Home


def status(home: Path) -> dict[str, Any]:
    return dataclasses.asdict(driver.status(Home(home)))


def stop(home: Path) -> None:
    """Requests under way are finished. Raises Busy while a server runs."""
    if daemon.runs(Home(home)):
        raise Busy("The server is running and would start the edge again.", "Stop gitdeploy serve first.")
    driver.stop(Home(home))
