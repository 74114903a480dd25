from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

pytest.register_assert_rewrite("swarm_support", "nodes")

from nodes import Swarm, swarm  # noqa: E402


@pytest.fixture(scope="module")
def three_nodes() -> Iterator[Swarm]:
    """Short paths: Docker's sockets lie below."""
    with TemporaryDirectory(prefix="gdsw-") as folder, swarm(Path(folder)) as made:
        yield made
