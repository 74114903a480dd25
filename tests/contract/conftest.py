from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

pytest.register_assert_rewrite("nodes", "swarm_support", "stage")

from nodes import swarm  # noqa: E402
from stage import Roll, Stage  # noqa: E402
from support import Server  # noqa: E402


@pytest.fixture(scope="module", params=["local", "swarm"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A server whose apps are run by this driver, one of the two."""
    with contextlib.ExitStack() as ends:
        if request.param == "local":
            server, edges, nodes, address = Server(), [], [], "127.0.0.1"
        else:
            folder = ends.enter_context(TemporaryDirectory(prefix="gdsw-"))
            made = ends.enter_context(swarm(Path(folder), count=1))
            server, address = Server(settings=made.settings), made.ground.gate
            nodes = made.nodes
            edges = made.edges
        ends.callback(server.destroy)
        server.start()
        roll = ends.enter_context(contextlib.closing(Roll(address)))
        yield Stage(
            request.param, server, edges or [server.edge], roll, tmp_path_factory.mktemp("shop"), nodes
        )
