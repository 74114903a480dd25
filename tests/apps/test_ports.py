"""A port is one slot's alone, also while nobody listens on it."""

from __future__ import annotations

import socket

import pytest

from gitdeploy.runtime.apps import ports
from gitdeploy.runtime.apps.ports import Port


def test_a_claimed_port_is_given_to_nobody_else() -> None:
    claimed = ports.claim()
    with pytest.raises(OSError):
        Port(claimed.number)
    claimed.release()
    again = Port(claimed.number)
    again.release()


def test_a_port_that_somebody_listens_on_is_not_chosen() -> None:
    claimed = ports.claim()
    with socket.create_server(("127.0.0.1", claimed.number)):
        assert not ports._is_free(claimed.number)
    assert ports._is_free(claimed.number)
    claimed.release()


def test_many_claims_are_all_different() -> None:
    claimed = [ports.claim() for _ in range(200)]
    assert len({one.number for one in claimed}) == 200
    for one in claimed:
        one.release()
