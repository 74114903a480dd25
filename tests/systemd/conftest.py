from __future__ import annotations

from collections.abc import Iterator

import pytest
from systemd_machine import Machine, booted


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """With users `ana` and `bob` whose systemd runs, logged in or not, and `eva`, whose does not. That of `bob` may
    make no namespaces.
    """
    with booted() as one:
        for number, name in ((2001, "ana"), (2002, "bob"), (2003, "eva")):
            one.check("useradd", f"--uid={number}", "--user-group", "--create-home", name)
        one.check("chmod", "1777", "/srv")  # for homes
        one.write("/etc/systemd/system/user@2002.service.d/no.conf", "[Service]\nRestrictNamespaces=yes\n")
        one.check("systemctl", "daemon-reload")
        one.check("loginctl", "enable-linger", "ana", "bob")
        yield one
