from __future__ import annotations

import pytest

pytest.register_assert_rewrite("scenario_support")

from scenario_support import Hold, Shared  # noqa: E402


@pytest.fixture(scope="module")
def shared(request):
    """One running server for a module: every test of it has a site of its own."""
    one = Shared()
    request.addfinalizer(one.destroy)
    one.start()
    return one


@pytest.fixture
def desk(shared, tmp_path):
    """A project and its site on the shared server."""
    return shared.new_site(tmp_path / "project")


@pytest.fixture
def hold():
    """Where builds wait until the test lets them go on."""
    one = Hold()
    yield one
    one.close()
