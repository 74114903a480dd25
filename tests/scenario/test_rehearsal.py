"""What is run on copies first: what it says, what it leaves behind, and what it then allows."""

from __future__ import annotations

import os
import re
import subprocess

import databases
import pytest
from guest_book import Book, live_book
from support import GIT_ENV, Server, eventually

DEMANDING = '[production]\nrehearse = ["migration", "restore"]\n'


@pytest.fixture(scope="module")
def machine(postgres, mariadb):
    server = Server(settings=f'[databases]\npostgres = "{postgres}"\nmariadb = "{mariadb}"\n')
    server.start()
    yield server
    server.destroy()


@pytest.fixture
def book(machine, tmp_path, request) -> Book:
    return live_book(machine, tmp_path, request.param, DEMANDING)


def rehearsed(said: str) -> str:
    return re.search(r"reh_[0-9A-Z]{26}", said)[0]


def roles_and_databases(book: Book, request) -> set[str]:
    """Of this site, without those in which snapshots are being proven just now."""
    found = databases.names(request.getfixturevalue("postgres"), request.getfixturevalue("mariadb"))
    mine = book.site.replace("-", "_")
    return {one for one in found if mine in one and "__proof" not in one}


@pytest.mark.parametrize(
    "book", [pytest.param("sqlite:data/app.db", marks=pytest.mark.soak), "postgres"], indirect=True
)
def test_a_migration_is_rehearsed_before_it_may_go_live(book, request):
    book.post("note/hello")
    before = roles_and_databases(book, request)
    was = book.server.facts("live", book.site)
    book.write("two", "ALTER TABLE notes ADD COLUMN author VARCHAR(80)")
    refused = book.project.push("main")
    assert not refused.ok and "asks for every migration to be rehearsed first" in refused.out
    assert "-o rehearse" in refused.out
    said = book.project.push("-o", "rehearse", "main").out
    assert "nothing was changed" in said and "column notes.author was added" in said
    assert "release command" in said and "healthy in" in said
    assert book.server.facts("live", book.site) == was and book.page() == "one hello "
    (found,) = book.server.facts("rehearsal", "list", book.site)
    assert found["id"] == rehearsed(said) and found["state"] == "passed" and found["verb"] == "migration"
    (held,) = found["findings"]["databases"].values()
    assert held["tables"] == {"notes": [1, 1]} and held["schema"]["verdict"] == "additive"
    assert roles_and_databases(book, request) == before
    assert len(data(book)) == 1 and not tried(book)
    # Rows may change, shapes may not.
    book.post("note/later")
    book.push("main")
    assert book.page() == "two hello,later "


@pytest.mark.parametrize("book", ["sqlite:data/app.db"], indirect=True)
def test_a_rehearsal_that_no_longer_holds_is_refused_with_what_changed(book):
    book.write("two", "ALTER TABLE notes ADD COLUMN author VARCHAR(80)")
    said = book.project.push("-o", "rehearse", "main").out
    book.server.cli("config", "set", book.site, "COLOUR=red")
    refused = book.project.push("main")
    assert not refused.ok and "the configuration was nothing and is c1" in refused.out
    named = book.project.push("-o", f"rehearsal={rehearsed(said)}", "main")
    assert not named.ok and "the configuration was nothing and is c1" in named.out
    other = book.project.push("-o", f"rehearsal={rehearsed(said)}", "HEAD:promote/r1")
    assert not other.ok and "rehearsed the migration of" in other.out
    again = rehearsed(book.project.push("-o", "rehearse", "main").out)
    book.push("-o", f"rehearsal={again}", "main")


@pytest.mark.parametrize("book", ["mariadb"], indirect=True)
def test_a_migration_that_fails_on_a_copy_touches_nothing(book, request):
    book.post("note/hello")
    before = roles_and_databases(book, request)
    book.write("two", "DELETE FROM notes", "NONSENSE")
    failed = book.project.push("-o", "rehearse", "main")
    assert not failed.ok and "The release command ended with exit code 1" in failed.out
    assert book.page() == "one hello "
    (found,) = book.server.facts("rehearsal", "list", book.site)
    assert found["state"] == "failed" and "exit code 1" in found["error"]
    refused = book.project.push("main")
    assert not refused.ok and "failed" in refused.out and book.page() == "one hello "
    assert roles_and_databases(book, request) == before


@pytest.mark.parametrize("book", [pytest.param("postgres", marks=pytest.mark.soak), "mariadb"], indirect=True)
def test_a_restore_is_rehearsed_and_says_how_long_the_databases_will_be_away(book, request):
    book.post("note/kept")
    book.push("HEAD:snapshot/production")
    book.post("note/lost")
    before = roles_and_databases(book, request)
    asked = ("snapshot", "restore", book.site, "s1")
    refused = book.server.cli(*asked, "--yes", check=False)
    assert refused.returncode == 5 and "asks for every restore to be rehearsed" in refused.stderr
    found = book.server.facts(*asked, "--rehearse")
    (held,) = found["findings"]["databases"].values()
    assert held["tables"] == {"notes": [2, 1]} and found["findings"]["health"].startswith("healthy in")
    assert found["pause"] >= found["findings"]["seconds"]["exchange"] > 0
    assert book.page() == "one kept,lost " and roles_and_databases(book, request) == before
    done = book.server.cli(*asked, "--yes", "--rehearsal", found["id"])
    assert "live: r2" in done.stderr and book.page() == "one kept "
    again = book.server.cli(*asked, "--yes", "--rehearsal", found["id"], check=False)
    assert again.returncode == 5 and "what is live was r1 and is r2" in again.stderr


def test_a_rollback_is_rehearsed_with_the_older_code(machine, tmp_path):
    book = live_book(machine, tmp_path, "sqlite:data/app.db")
    book.write("two", "CREATE TABLE extra (id INTEGER)")
    book.push("main")
    said = book.project.push("-o", "rehearse", "HEAD:rollback/previous").out
    assert "the rollback to" in said and "healthy in" in said and book.page() == "two  "
    book.push("-o", f"rehearsal={rehearsed(said)}", "HEAD:rollback/previous")
    assert book.page() == "one  "


def test_a_rehearsal_that_was_killed_leaves_nothing(machine, tmp_path, request):
    book = live_book(machine, tmp_path, "postgres")
    before = roles_and_databases(book, request)
    book.project.write("Procfile", "web: exec python3 app.py\nrelease: exec sleep 600\n")
    book.write("two")
    pushing = subprocess.Popen(
        ["git", "push", "-o", "rehearse", "managed", "main"], cwd=book.project.folder,
        env={**os.environ, **GIT_ENV}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    eventually(lambda: tried(book), why="no rehearsal began")
    assert len(data(book)) == 2 and roles_and_databases(book, request) != before
    machine.kill()
    machine.start()
    assert pushing.wait(timeout=60)
    eventually(lambda: len(data(book)) == 1, seconds=40, why=f"{data(book)}")
    assert roles_and_databases(book, request) == before and book.page() == "one  "


def tried(book: Book) -> list[str]:
    return [one.name for one in (folder(book) / "slots").iterdir() if one.name.startswith("try")]


def data(book: Book) -> list[str]:
    return sorted(one.name for one in (folder(book) / "data").iterdir())


def folder(book: Book):
    return book.server.home / "sites" / book.site / "production"
