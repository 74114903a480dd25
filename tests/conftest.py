"""Real servers, real git clients, real sites: what the scenario tests are made of."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("support", "guest_book")

from support import project_of, running  # noqa: E402

server = pytest.fixture(running)
project = pytest.fixture(project_of)
