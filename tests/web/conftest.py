from __future__ import annotations

import pytest

pytest.register_assert_rewrite("web_support")

from web_support import Stage, chromium  # noqa: E402


@pytest.fixture(scope="module")
def stage(request, tmp_path_factory):
    """A server with an admin, and a site with a history, previews, a failed build, and names that nobody may trust."""
    one = Stage(tmp_path_factory.mktemp("stage"))
    request.addfinalizer(one.destroy)
    one.set()
    return one


@pytest.fixture(scope="module")
def browser(request):
    return chromium(request)
