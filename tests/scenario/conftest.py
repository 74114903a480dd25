from __future__ import annotations

import pytest

pytest.register_assert_rewrite("scenario_support")

from scenario_support import Hold, Shared, shared_server  # noqa: E402


@pytest.fixture(scope="session")
def shared(request):
    """One running server for all modules whose tests need no more than a site of their own. Those that say something of
    the whole server, or give somebody a role on all of it, have one of theirs (`of_its_own`).
    """
    return shared_server(request)


@pytest.fixture
def desk(shared, tmp_path):
    """A project and its site on the shared server."""
    return shared.new_site(tmp_path / "project")


@pytest.fixture
def machine(request):
    """A function that makes a machine, whose server is not started."""

    def make(settings: str = "") -> Shared:
        made = Shared(settings=settings)
        request.addfinalizer(made.destroy)
        return made

    return make


@pytest.fixture
def place(tmp_path):
    """A folder that backups, or what a standby follows, are written to."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


@pytest.fixture
def hold():
    """Where builds wait until the test lets them go on."""
    one = Hold()
    yield one
    one.close()
