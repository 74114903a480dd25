"""Real servers, real git clients, real sites: what the scenario tests are made of."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("support", "guest_book")

import databases  # noqa: E402
from support import project_of, running  # noqa: E402

server = pytest.fixture(running)
project = pytest.fixture(project_of)


@pytest.fixture(scope="session")
def postgres():
    """The URL of a PostgreSQL's superuser. Many modules use it after each other, each with servers of its own: what
    they make there is named by the ids of their sites, so nobody takes another's for theirs.
    """
    with databases.postgres() as url:
        yield url


@pytest.fixture(scope="session")
def mariadb():
    """The same of a MariaDB."""
    with databases.mariadb() as url:
        yield url
