"""The door of a builder: the two pipes of an SSH login, by which a server hands out one build."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gitdeploy.service import build_for
from gitdeploy.store.home import Home


def run(home: Path) -> None:
    """Serve who logged in, until that is done or they hang up."""
    os.umask(0o022)
    reading, writing = os.dup(0), os.dup(1)
    sys.stdout.flush()
    os.dup2(2, 1)  # what is printed by mistake is no frame
    build_for.serve(Home(home.resolve()), reading, writing)
