"""kill -9 right after a restore of production: what a preview was made of goes back with it all the same."""

from __future__ import annotations

import json

import pytest
from content_shop import live_shop
from crash_ground import Mortal

AT = ("ledger commit in _record", "Hold.release")
"""What production held is said, and the release is not written down; it is."""


@pytest.fixture
def machine():
    one = Mortal()
    one.start()
    yield one
    one.destroy()


def test_a_server_that_dies_in_a_restore_still_knows_what_staging_was_made_of(machine, tmp_path):
    shop = live_shop(machine, tmp_path, "sqlite:data/app.db")
    up = ("--from", "staging", "--to", "production")
    shop.clone("--from", "production", "--to", "staging")
    shop.sql("staging", "UPDATE posts SET title = 'mine' WHERE id = 1")
    shop.sql("production", "UPDATE posts SET title = 'theirs' WHERE id = 2")
    done = json.loads(shop.clone(*up, "--yes", "--json").stdout)
    assert done["rows"] == {"added": 0, "changed": 1, "removed": 0}
    for at in AT:
        machine.die_at(f"RefTransaction.commit then {at}")
        shop.server.cli("snapshot", "restore", shop.site, done["snapshot"], "--yes", check=False)
        assert machine.died(), machine.steps()
        assert shop.sql("production", "SELECT title FROM posts ORDER BY id") == ["one", "theirs", "three"]
        dry = json.loads(shop.clone(*up, "--dry-run", "--json").stdout)
        assert (dry["rows"], dry["conflicts"], dry["kept"]) == (done["rows"], [], ["posts id=2"])
        done = json.loads(shop.clone(*up, "--yes", "--json").stdout)
