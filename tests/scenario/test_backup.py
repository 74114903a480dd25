"""A server is backed up while it serves, lost, and brought back on another machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import buckets
import command_line
import databases
import psycopg
import pytest
from guest_book import live_book
from scenario_support import works_on
from support import GITDEPLOY, Server, eventually

from gitdeploy.service import doctor_data
from gitdeploy.service.backup import Keeper
from gitdeploy.store import clock
from gitdeploy.web.serve import opened


@pytest.fixture(scope="module")
def postgres():
    with databases.postgres() as url:
        yield url


def restore(machine: Server, *words: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
    words = ("--home", str(machine.home), "backup", "restore", *words)
    done = command_line.run(*words, stdin="", env={**os.environ, **env}, timeout=120)
    assert not check or done.returncode == 0, done.stderr
    return done


def files(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def test_a_lost_machine_is_brought_back_whole(machine, postgres, place, tmp_path):
    settings = f'[backup]\nto = "{place}"\nevery = ""\nkeep = 2\n[databases]\npostgres = "{postgres}"\n'
    first = machine(settings)
    first.start()
    book = live_book(first, tmp_path, "postgres")
    book.post("note/hello")
    book.post("file/cat.png")
    book.write("two")
    book.push("HEAD:feature/x")
    book.push("main")
    desk = first.new_site(tmp_path / "desk")
    desk.commit("one", index_html="one")
    assert desk.push("main").ok
    first.cli("domain", "add", desk.site, "example.org")
    first.cli("config", "set", book.site, "COLOR=-", "--secret", stdin="red\n")
    first.cli("backup")
    before = files(place)
    book.post("note/later")
    desk.commit("two", index_html="two")
    assert desk.push("main").ok
    made = first.facts("backup")
    assert made["without"] == [] and 0 < made["stored"] < made["bytes"]
    lists = [one for one in before if one.startswith("backups/")]
    assert {one for one in before if one not in lists} <= set(files(place)) and len(lists) == 1
    assert first.facts("backup", "list")[0]["id"] == made["id"]
    token, history = first.secret("maya"), first.facts("releases", desk.site)
    first.cli("backup")
    assert len(list((place / "backups").iterdir())) == 2  # as many as are kept

    live = {site: first.facts("live", site) for site in (book.site, desk.site)}
    first.kill()
    first.cli("edge", "stop")
    shutil.rmtree(first.home)
    with psycopg.connect(postgres, autocommit=True) as admin:
        for (name,) in admin.execute("SELECT datname FROM pg_database WHERE datname LIKE 'gd%'").fetchall():
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    second = machine()
    said = restore(second, str(place)).stderr
    assert "each compared with its hash" in said and "its databases begin empty" in said
    assert (second.home / "keys").stat().st_mode & 0o777 == 0o700
    second.start()
    for site, was in live.items():
        now = second.ask(f"/sites/{site}/live", token=token)
        assert (now["artifact"], now["release"], now["commit"]) == (
            was["artifact"],
            was["release"],
            was["commit"],
        )
        assert second.cli("verify", site).returncode == 0
    assert second.fetch(second.edge, "/", Host="example.org").text == "two"
    eventually(lambda: second.get(book.site).text == "two hello,later cat.png", seconds=60)
    assert second.facts("config", "list", book.site)
    assert second.facts("releases", desk.site) == history
    works_on(second, desk.site, tmp_path / "again", token)


def test_a_backup_beside_pushes_is_whole_and_nobody_reads_it_without_its_password(machine, tmp_path):
    with buckets.bucket(tmp_path / "s3") as known:
        reached = {name: value for name, value in known.items() if name != "copy"}
        said = "".join(f"{name} = {json.dumps(value)}\n" for name, value in reached.items())
        first = machine(f'[backup]\nto = "s3://things/all"\npassword = "correct horse"\nevery = ""\n{said}')
        first.start()
        desk = first.new_site(tmp_path / "desk")
        desk.commit("0", index_html="page-that-is-ours 0")
        assert desk.push("main").ok
        going, pushed = threading.Event(), []

        def push_on() -> None:
            while not going.is_set():
                desk.commit(str(len(pushed) + 1), index_html=f"page-that-is-ours {len(pushed) + 1}")
                pushed.append(desk.push("main").ok)

        pusher = threading.Thread(target=push_on)
        pusher.start()
        try:
            for _ in range(2):
                assert first.facts("backup")["without"] == []
        finally:
            going.set()
            pusher.join()
        assert pushed and all(pushed)
        for name, content in files(tmp_path / "s3/things").items():
            assert b"page-that-is-ours" not in content and b"PRIVATE KEY" not in content, name
        first.stop()

        second = machine()
        env = {
            "AWS_ENDPOINT_URL": known["endpoint"], "AWS_REGION": known["region"],
            "AWS_ACCESS_KEY_ID": known["access_key"], "AWS_SECRET_ACCESS_KEY": known["secret_key"],
        }  # fmt: skip
        wrong = restore(second, "s3://things/all", check=False, GITDEPLOY_BACKUP_PASSWORD="wrong", **env)
        assert wrong.returncode == 5 and "does not open the backups" in wrong.stderr
        none = restore(second, "s3://things/all", check=False, **env)
        assert none.returncode == 5 and "sealed with a password" in none.stderr
        restore(second, "s3://things/all", GITDEPLOY_BACKUP_PASSWORD="correct horse", **env)
    second.start()
    eventually(lambda: second.get(desk.site).text.startswith("page-that-is-ours "))
    assert second.cli("verify", desk.site).returncode == 0 and second.facts("fsck")["problems"] == []
    git = ("git", "--git-dir", str(second.home / f"repos/{desk.site}.git"))
    assert (
        subprocess.run([*git, "fsck", "--strict", "--connectivity-only"], capture_output=True).returncode == 0
    )

    def main() -> str:
        return subprocess.run([*git, "rev-parse", "main"], capture_output=True, text=True).stdout.strip()

    eventually(lambda: second.ask(f"/sites/{desk.site}/live")["commit"] == main(), seconds=40)


@pytest.mark.soak
def test_what_was_begun_is_finished_and_what_is_damaged_is_not_brought_back(machine, place, tmp_path):
    first = machine(f'[backup]\nto = "{place}"\n')
    first.start()
    desk = first.new_site(tmp_path / "desk")
    desk.commit("one", **{f"page{number}_html": f"{number}" * 2000 for number in range(300)})
    assert desk.push("main").ok
    first.cli("backup")
    first.stop()
    with opened(first.home) as ctx:  # by the clock: once a day, and what keeps it from that is told once
        keeper = Keeper()
        keeper.look(ctx)
        (taken,) = ctx.ledger.backups.where()
        ctx.ledger.backups.change(taken, created_at=clock.later(-2 * 86400 - 1))
        assert [one.level for one in doctor_data.backups(ctx)] == ["warning"]
        place.rename(away := tmp_path / "away")
        keeper.look(ctx)
        keeper.look(ctx)
        assert [one.action for one in ctx.ledger.events.list(limit=5)].count("backup.failed") == 1
        away.rename(place)
        keeper.look(ctx)
        keeper.look(ctx)
        assert [one.actor for one in ctx.ledger.backups.where(order="id")] == ["root", "gitdeploy"]
        assert [one.level for one in doctor_data.backups(ctx)] == ["ok"]

    second = machine()
    begun = subprocess.Popen(
        [*GITDEPLOY, "--home", str(second.home), "backup", "restore", str(place)], stderr=subprocess.DEVNULL
    )
    eventually(lambda: len(list((second.home / "store/blobs").glob("*/*"))) > 20)
    begun.send_signal(signal.SIGKILL)
    begun.wait()
    with pytest.raises(AssertionError, match="is being brought back from a backup"):
        second.start()
    restore(second, str(place))
    second.start()
    assert second.get(desk.site, "/page7.html").text == "7" * 2000
    assert second.facts("fsck")["problems"] == []
    refused = restore(second, str(place), check=False)
    assert refused.returncode == 4 and "A server runs in" in refused.stderr
    second.stop()
    assert "holds a server already" in restore(second, str(place), check=False).stderr

    held = json.loads(max((place / "backups").iterdir()).read_bytes())["files"]
    victim = place / "objects" / held[0][3][:2] / held[0][3]
    assert held[0][0] == "ledger.db"
    victim.chmod(0o644)
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    third = machine()
    damaged = restore(third, str(place), check=False)
    assert damaged.returncode == 6 and "is damaged" in damaged.stderr
    assert not (third.home / "ledger.db").exists()
