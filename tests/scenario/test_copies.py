"""Snapshots that nobody reads without the key, taken by the clock, copied to a bucket, and brought back from it."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import buckets
import pytest
from scenario_support import Desk, Shared
from support import eventually

from gitdeploy.service.cron import Cron
from gitdeploy.web.serve import opened

APP = Path(__file__).with_name("data_app.py")
SETTINGS = '[data]\ndatabases = ["sqlite:data/app.db"]\nfiles = ["uploads"]\nsnapshots = "0 0 1 1 *"\n'


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    folder = tmp_path_factory.mktemp("s3")
    with buckets.bucket(folder) as settings:
        yield folder / "things", settings


def machine(settings: dict[str, str], keys: Path | None = None) -> Shared:
    said = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    server = Shared(settings=f"[snapshots]\nencrypt = true\n{said}")
    if keys is not None:
        shutil.copytree(keys, server.home / "keys")
    server.start()
    return server


def live(server: Shared, folder: Path) -> Desk:
    desk = server.new_site(folder)
    desk.write("app.py", APP.read_text())
    desk.write("gitdeploy.toml", SETTINGS)
    desk.write("Procfile", "web: exec python3 app.py\nrelease: python3 app.py migrate\n")
    desk.commit("one", version="one", migrations="")
    pushed = desk.push("main")
    assert pushed.ok, pushed.out
    return desk


def ask(desk: Desk, path: str = "/", method: str = "GET") -> str:
    host = f"{desk.site}.localhost"
    data = b"" if method == "POST" else None
    page = desk.server.fetch(desk.server.edge, path, method=method, data=data, Host=host)
    assert page.status == 200, page.text
    return page.text


def snapshots(desk: Desk) -> list[dict]:
    return desk.server.facts("snapshot", "list", desk.site)


def inside(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def test_a_machine_is_gone_and_its_snapshots_are_not(request, things, tmp_path, caplog, monkeypatch):
    bucket, settings = things
    first = machine(settings)
    request.addfinalizer(first.destroy)
    desk = live(first, tmp_path / "first")
    ask(desk, "/note/a-secret-of-ours", "POST")
    ask(desk, "/file/cat.png", "POST")
    assert first.stop() == 0
    with opened(first.home) as ctx, monkeypatch.context() as clock:  # where it is the first of January
        cron = Cron()
        clock.setattr("gitdeploy.service.cron._minute", lambda _: datetime(2099, 1, 1, tzinfo=UTC))
        cron.look(ctx)
        eventually(lambda: any(one.cause == "scheduled" for one in ctx.ledger.snapshots.where()))
    first.start()
    scheduled = eventually(lambda: next((one for one in snapshots(desk) if one["copied"]), None), seconds=60)
    assert (scheduled["cause"], scheduled["verified"]["rows"]) == ("scheduled", 1)
    ask(desk, "/file/dog.png", "POST")
    first.cli("snapshot", "take", desk.site, "--label", "last")
    last = eventually(lambda: next(one for one in snapshots(desk) if one["label"] == "last")["copied"])
    assert 0 < last["objects"] <= 2  # the picture, the facts and no more
    for folder in (bucket, first.home / "store"):
        for name, content in inside(folder).items():
            assert b"secret-of-ours" not in content and "cat.png" not in name and content != b"cat.png", name
    # What is forgotten here goes over there, too, with the bytes that only it had.
    before = inside(bucket)
    ask(desk, "/file/gone.png", "POST")
    first.cli("snapshot", "take", desk.site, "--label", "short")
    eventually(lambda: next(one for one in snapshots(desk) if one["label"] == "short")["copied"])
    first.cli("snapshot", "remove", desk.site, "short")
    first.cli("gc")
    assert inside(bucket).keys() == before.keys()
    origin = first.facts("site", "show", desk.site)["id"]

    second = machine(settings, keys=first.home / "keys")
    request.addfinalizer(second.destroy)
    desk = live(second, tmp_path / "second")
    nothing = second.cli("snapshot", "fetch", desk.site, check=False)
    assert nothing.returncode == 3 and "--origin" in nothing.stderr
    fetched = second.facts("snapshot", "fetch", desk.site, "--origin", origin)
    assert [one["label"] for one in fetched] == [None, "last"]
    assert second.facts("snapshot", "fetch", desk.site, "--origin", origin) == []
    second.cli("snapshot", "restore", desk.site, "last", "--yes")
    assert ask(desk) == "one a-secret-of-ours cat.png,dog.png"


@pytest.mark.soak
def test_what_was_changed_over_there_is_not_taken_back(request, things, tmp_path):
    bucket, settings = things
    server = machine({**settings, "copy": "s3://things/changed"})
    request.addfinalizer(server.destroy)
    desk = live(server, tmp_path)
    ask(desk, "/file/cat.png", "POST")
    server.cli("snapshot", "take", desk.site, "--label", "mine")
    eventually(lambda: snapshots(desk)[0]["copied"])
    with opened_ledger(server) as ledger:
        ledger.execute("DELETE FROM snapshots")
    server.start()
    server.cli("gc")
    for victim in ("snapshots/*/*", "manifests/*", "blobs/*/*"):
        path = next((bucket / "changed").glob(victim))
        right = path.read_bytes()
        path.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
        refused = server.cli("snapshot", "fetch", desk.site, check=False)
        assert refused.returncode == 6, (victim, refused.stderr)
        assert snapshots(desk) == []
        path.write_bytes(right)
    assert len(server.facts("snapshot", "fetch", desk.site)) == 1


def opened_ledger(server: Shared):
    from contextlib import contextmanager

    @contextmanager
    def ledger():
        assert server.stop() == 0
        with opened(server.home) as ctx:
            yield ctx.ledger

    return ledger()
