"""Databases and files of an app: handed to it, captured, proven, restored, and what a rollback makes of them."""

from __future__ import annotations

import re

import pytest
from guest_book import Book, live_book
from support import Server, eventually


@pytest.fixture(scope="module")
def machine(postgres, mariadb):
    """One server for all sites of this module, with servers to make databases in."""
    server = Server(settings=f'[databases]\npostgres = "{postgres}"\nmariadb = "{mariadb}"\n')
    server.start()
    yield server
    server.destroy()


SQLITE, POSTGRES = "sqlite:data/app.db", "postgres"


@pytest.fixture
def book(machine, tmp_path, request) -> Book:
    return live_book(machine, tmp_path, request.param)


def with_books(ordinary: str, other: str) -> pytest.MarkDecorator:
    """The ordinary run has one engine; what the engines do is also told, one by one, in tests/data."""
    params = [
        pytest.param(ordinary, id=ordinary[:6]),
        pytest.param(other, id=other[:6], marks=pytest.mark.soak),
    ]
    return pytest.mark.parametrize("book", params, indirect=True)


both_books = pytest.mark.parametrize("book", [SQLITE, POSTGRES], ids=["sqlite", "postgres"], indirect=True)


@with_books(SQLITE, POSTGRES)
def test_data_stays_from_release_to_release_and_each_environment_has_its_own(book):
    book.post("note/hello")
    book.post("file/cat.png")
    assert book.page() == "one hello cat.png"
    book.write("two")
    book.push("HEAD:feature/x")
    assert book.page(f"feature-x--{book.site}") == "two  "
    book.push("main")
    assert book.page() == "two hello cat.png"
    book.push("HEAD:rollback/previous")
    assert book.page() == "one hello cat.png"


@both_books
def test_a_snapshot_is_proven_and_brings_back_what_was_there(book):
    book.post("note/kept")
    book.post("file/cat.png")
    said = book.push("-o", "reason=before the sale", "HEAD:snapshot/production").out
    assert "is proven" in said
    (taken,) = [one for one in book.server.facts("snapshot", "list", book.site) if one["cause"] == "asked"]
    assert taken["label"] == "before the sale" and taken["verified"]["rows"] == 1 and taken["files"] == 1
    book.post("note/lost")
    book.post("file/dog.png")
    name = taken["snapshot"]
    refused = book.project.push(f"HEAD:restore/{name}")
    assert not refused.ok and "operator" in refused.out
    done = book.server.cli("snapshot", "restore", book.site, name, "--yes")
    assert "undo" in done.stderr, done.stderr
    assert book.page() == "one kept cat.png"
    releases = book.server.facts("releases", book.site)
    assert releases[0]["kind"] == "restore"
    book.post("note/after")
    assert book.page() == "one kept,after cat.png"
    # What was there before is not lost: it was captured, and once more after nobody wrote to it any more.
    causes = eventually(lambda: _replaced(book), why="what was replaced is not captured")
    book.server.cli("snapshot", "restore", book.site, causes[0], "--yes")
    assert book.page() == "one kept,lost cat.png,dog.png"


@with_books(POSTGRES, SQLITE)
def test_a_snapshot_can_be_looked_at_in_a_preview(book):
    book.post("note/kept")
    book.push("HEAD:snapshot/production")
    book.push("HEAD:refs/heads/look")
    assert book.page(f"look--{book.site}") == "one  "
    book.push("-o", "env=look", "HEAD:restore/latest")
    assert book.page(f"look--{book.site}") == "one kept "
    book.post("note/mine", f"look--{book.site}")
    assert book.page() == "one kept "


@with_books(SQLITE, POSTGRES)
def test_a_damaged_snapshot_is_refused_before_anything_is_touched(book):
    book.post("file/cat.png")
    book.push("HEAD:snapshot/production")
    blob = next(
        one for one in (book.server.home / "store/blobs").glob("*/*") if one.read_bytes() == b"cat.png"
    )
    before = book.server.facts("releases", book.site)
    blob.chmod(0o644)
    blob.write_bytes(b"dog.png")
    try:
        done = book.server.cli("snapshot", "restore", book.site, "latest", "--yes", check=False)
        assert done.returncode == 6 and "cat.png" in done.stderr
        assert book.server.facts("releases", book.site) == before
        assert len(book.server.facts("snapshot", "list", book.site)) == 1
    finally:
        blob.unlink()


def test_mariadb_is_captured_restored_and_asked_for_its_shape_too(machine, tmp_path):
    book = live_book(machine, tmp_path, "mariadb")
    book.post("note/kept")
    book.push("HEAD:snapshot/production")
    book.post("note/lost")
    book.server.cli("snapshot", "restore", book.site, "latest", "--yes")
    assert book.page() == "one kept "
    book.write("two", "ALTER TABLE notes ADD COLUMN author VARCHAR(80)")
    book.push("main")
    book.write("three", "ALTER TABLE notes DROP COLUMN author")
    book.push("main")
    assert "column notes.author was dropped" in book.project.push("HEAD:rollback/previous").out


@with_books(POSTGRES, SQLITE)
def test_a_rollback_goes_across_what_was_only_added(book):
    book.write("two", "ALTER TABLE notes ADD COLUMN author VARCHAR(80)")
    book.push("main")
    book.post("note/hello")
    said = book.push("HEAD:rollback/previous").out
    assert "column notes.author was added" in said
    assert book.page() == "one hello "


@both_books
def test_a_rollback_across_what_was_dropped_is_refused_and_says_what_to_do(book):
    book.write("two", "ALTER TABLE notes ADD COLUMN author VARCHAR(80)")
    book.push("main")
    book.post("note/hello")
    before = book.server.facts("live", book.site)
    book.write("three", "ALTER TABLE notes DROP COLUMN author")
    book.push("main")
    book.post("note/later")
    refused = book.project.push("HEAD:rollback/previous")
    assert not refused.ok and "column notes.author was dropped" in refused.out
    assert "snapshot restore --code" in refused.out and "notes +1" in refused.out
    assert book.page() == "three hello,later "
    name = re.search(rf"--code {book.site} (s[0-9]+)", refused.out)[1]
    book.server.cli("snapshot", "restore", "--code", book.site, name, "--yes")
    assert book.page() == "two hello "
    assert book.server.facts("live", book.site)["artifact"] == before["artifact"]


@with_books(SQLITE, POSTGRES)
def test_a_rollback_can_be_forced_with_a_reason(book):
    book.write("two", "CREATE TABLE extra (id INTEGER)")
    book.push("main")
    book.write("three", "DROP TABLE extra")
    book.push("main")
    assert "needs a reason" in book.project.push("-o", "force-schema", "HEAD:rollback/previous").out
    assert "table extra was dropped" in book.project.push("HEAD:rollback/previous").out
    book.push("-o", "force-schema", "-o", "reason=two does not use it", "HEAD:rollback/previous")
    assert book.page() == "two  "


@with_books(POSTGRES, SQLITE)
def test_what_a_release_command_may_break_is_captured_first(book):
    book.post("note/hello")
    book.write("two", "DELETE FROM notes")
    book.push("main")
    assert book.page() == "two  "
    (taken,) = book.server.facts("snapshot", "list", book.site)
    assert taken["cause"] == "before r2" and taken["database"].popitem()[1]["rows"] == 1


def _replaced(book: Book) -> list[str]:
    found = book.server.facts("snapshot", "list", book.site)
    return [one["snapshot"] for one in found if one["cause"].startswith("replaced by")]
