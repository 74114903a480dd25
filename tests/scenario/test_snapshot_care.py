"""Whether snapshots can be relied on is said, and they outlive the ledger that knew of them."""

from __future__ import annotations

import json

import pytest
from guest_book import live_book
from scenario_support import Shared
from support import eventually

from gitdeploy.web.serve import opened


@pytest.mark.parametrize("encrypt", ["false", pytest.param("true", marks=pytest.mark.soak)])
def test_the_doctor_tells_of_snapshots_and_recover_knows_them_again(request, tmp_path, encrypt):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    server = Shared(settings=f'[snapshots]\nencrypt = {encrypt}\ncopy = "{blocked}/copies"\n')
    request.addfinalizer(server.destroy)
    server.start()
    book = live_book(server, tmp_path, "sqlite:data/app.db")
    book.post("note/kept")
    book.post("file/cat.png")
    for label in ("good", "damaged", "waiting"):
        server.cli("snapshot", "take", book.site, "--label", label)
    book.post("note/later")

    def found() -> dict[str, str]:
        said = server.cli("doctor", "--json", check=False).stdout
        return {one["said"]: one["hint"] for one in json.loads(said) if one["name"] == "snapshots"}

    # What has just been taken is nobody's worry yet; a quarter of an hour later it is.
    assert list(found()) == ["3 snapshots, proven and copied"]
    server.stop()
    with opened(server.home) as ctx:
        for one in ctx.ledger.snapshots.where():
            ctx.ledger.snapshots.change(one, created_at="2026-01-01T00:00:00.000000+00:00")
        waiting = ctx.ledger.snapshots.one(label="waiting")
        ctx.ledger.snapshots.change(waiting, verified="")
        damaged = ctx.ledger.snapshots.one(label="damaged")
        facts = damaged.databases.replace('"notes": [1, ', '"notes": [2, ')
        assert facts != damaged.databases
        ctx.ledger.snapshots.change(damaged, verified="", databases=facts)
    server.start()
    failed = server.cli("snapshot", "verify", book.site, "damaged", check=False)
    assert failed.returncode == 6 and "notes has 1 rows instead of 2" in failed.stderr
    said = eventually(lambda: next((one for one in found().items() if "not copied" in one[0]), None))
    assert f"of {book.site} not copied to {blocked}/copies" in said[0] and "server.toml" in said[1]
    said = next(one for one in found().items() if "failed its proof" in one[0])
    assert "s2 of production" in said[0] and "notes has 1 rows instead of 2" in said[0]
    assert f"gitdeploy snapshot take {book.site}" in said[1]
    assert [one["flaw"] is not None for one in server.facts("snapshot", "list", book.site)] == [
        False,
        True,
        False,
    ]

    # The ledger is lost, with the machine's copies. What lies in the home is enough.
    before = server.facts("snapshot", "list", book.site)
    server.stop()
    for path in server.home.glob("ledger.db*"):
        path.unlink()
    assert f"{book.site}: 3 snapshots" in server.cli("recover").stderr
    server.start()
    after = server.facts("snapshot", "list", book.site)
    own = ("copied", "flaw", "verified", "created_at", "database")
    assert [{k: v for k, v in one.items() if k not in own} for one in after] == [
        {k: v for k, v in one.items() if k not in own} for one in before
    ]
    server.cli("gc")
    server.cli("snapshot", "restore", book.site, "good", "--yes")
    assert book.page() == "one kept cat.png"
    server.cli("snapshot", "remove", book.site, "waiting")
    records = list((server.home / "snapshots").glob("*/snap_*"))
    assert len(records) == len(server.facts("snapshot", "list", book.site))
    assert all(one.name.endswith(".sealed") == (encrypt == "true") for one in records)
