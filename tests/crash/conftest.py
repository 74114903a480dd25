from __future__ import annotations

import pytest

pytest.register_assert_rewrite("crash_ground")

from crash_ground import mortal, two_releases  # noqa: E402

server = pytest.fixture(mortal)
project = pytest.fixture(two_releases)
