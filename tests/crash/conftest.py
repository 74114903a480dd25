from __future__ import annotations

import pytest

pytest.register_assert_rewrite("crash_ground")

from crash_ground import SITE, Mortal  # noqa: E402
from support import Project  # noqa: E402


@pytest.fixture
def server(request):
    """A running server that can be made to die. Its addresses stay the same however often it is started. Which edge
    serves it may be said by indirect parametrizing.
    """
    one = Mortal(getattr(request, "param", "embedded"))
    request.addfinalizer(one.destroy)
    one.start()
    return one


@pytest.fixture
def project(server, tmp_path):
    """A project with two releases of production behind it."""
    server.cli("site", "create", SITE)
    one = Project(tmp_path / "project", server)
    one.git("remote", "add", "managed", server.remote(SITE, "maya", "maintainer"))
    for page in ("one", "two"):
        one.commit(page, index_html=page)
        assert one.push("main").ok
    return one
