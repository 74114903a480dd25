from __future__ import annotations

from collections.abc import Iterator

import pytest
from systemd_machine import Machine, booted


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """With a user `ana` whose systemd runs, logged in or not."""
    with booted() as one:
        one.check("useradd", "--user-group", "--create-home", "ana")
        one.check("loginctl", "enable-linger", "ana")
        yield one
