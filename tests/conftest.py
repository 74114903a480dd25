"""Real servers, real git clients, real sites: what the scenario tests are made of."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("support", "guest_book")

from support import Project, Server  # noqa: E402


@pytest.fixture
def server(request):
    """A running server of its own for one test; which edge serves it may be said by indirect parametrizing."""
    one = Server(edge_driver=getattr(request, "param", "embedded"))
    request.addfinalizer(one.destroy)
    one.start()
    return one


@pytest.fixture
def project(server, tmp_path, request):
    """A git project whose remote `managed` is the site `blog` of the server, pushed to by a maintainer."""
    server.cli("site", "create", "blog")
    one = Project(tmp_path / "project", server)
    one.git("remote", "add", "managed", server.remote("blog", "maya", "maintainer"))
    return one
