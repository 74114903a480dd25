"""What every kind of database must do."""

from __future__ import annotations

import threading

import pytest
from conftest import Place

from gitdeploy.domain.schema import difference
from gitdeploy.errors import Failed

BLOG = (
    "CREATE TABLE authors (id INTEGER PRIMARY KEY, name VARCHAR(80) NOT NULL)",
    "CREATE TABLE posts (id INTEGER PRIMARY KEY, author INTEGER REFERENCES authors(id), title VARCHAR(200), body TEXT)",
    "CREATE INDEX posts_by_title ON posts (title)",
    "CREATE TABLE visits (day VARCHAR(10), hits INTEGER DEFAULT 0 NOT NULL)",
    "INSERT INTO authors VALUES (1, 'Ana'), (2, 'Zoë ☃')",
    "INSERT INTO posts VALUES (1, 1, 'one', 'it''s\n a \\ tab\there'), (2, 2, NULL, ''), (3, NULL, 'three', 'x')",
    "INSERT INTO visits VALUES ('2026-01-01', 5), ('2026-01-01', 5)",
)


@pytest.fixture
def blog(place: Place) -> str:
    url = place.new()
    place.sql(url, *BLOG)
    return url


def dumped(place: Place, url: str, name: str = "dump"):
    folder = place.folder / name
    folder.mkdir()
    with place.engine.instant(url) as instant:
        instant.dump(folder)
        return folder, instant.facts()


def test_what_is_loaded_again_has_the_same_facts(place: Place, blog: str):
    folder, facts = dumped(place, blog)
    assert facts.tables["posts"].rows == 3 and facts.rows == 7
    again = place.new()
    place.engine.load(again, folder)
    with place.engine.instant(again) as instant:
        assert instant.facts().differs_from(facts) == ""
    assert place.sql(again, "SELECT body FROM posts ORDER BY id") == place.sql(
        blog, "SELECT body FROM posts ORDER BY id"
    )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("UPDATE posts SET title = 'One' WHERE id = 1", "posts has other content"),
        ("UPDATE posts SET body = NULL WHERE id = 2", "posts has other content"),
        ("DELETE FROM visits", "visits has 0 rows instead of 2"),
        ("INSERT INTO authors VALUES (3, 'Bo')", "authors has 3 rows instead of 2"),
        ("CREATE TABLE more (id INTEGER PRIMARY KEY)", "the tables are not the same"),
    ],
)
def test_a_difference_is_named(place: Place, blog: str, change: str, named: str):
    with place.engine.instant(blog) as instant:
        before = instant.facts()
    place.sql(blog, change)
    with place.engine.instant(blog) as instant:
        assert before.differs_from(instant.facts()) == named


def test_the_order_of_rows_does_not_count(place: Place, blog: str):
    with place.engine.instant(blog) as instant:
        before = instant.facts()
    place.sql(blog, "DELETE FROM visits", "DELETE FROM posts WHERE id = 1",
              "INSERT INTO visits VALUES ('2026-01-01', 5)", "INSERT INTO visits VALUES ('2026-01-01', 5)",
              "INSERT INTO posts VALUES (1, 1, 'one', 'it''s\n a \\ tab\there')")  # fmt: skip
    with place.engine.instant(blog) as instant:
        assert before.differs_from(instant.facts()) == ""


def test_who_writes_meanwhile_is_not_seen(place: Place, blog: str):
    if place.engine.name == "sqlite":
        place.sql(blog, "PRAGMA journal_mode=WAL")
    folder = place.folder / "dump"
    folder.mkdir()
    with place.engine.instant(blog) as instant:
        place.sql(blog, "DELETE FROM visits", "INSERT INTO authors VALUES (3, 'late')")
        instant.dump(folder)
        facts = instant.facts()
    assert facts.tables["visits"].rows == 2 and facts.tables["authors"].rows == 2
    again = place.new()
    place.engine.load(again, folder)
    assert place.sql(again, "SELECT count(*) FROM visits") == [(2,)]


def test_who_writes_meanwhile_is_not_held_up_for_ever(place: Place, blog: str):
    """Not even where readers and writers exclude each other: SQLite without a write-ahead log."""
    folder = place.folder / "dump"
    folder.mkdir()
    written = threading.Event()

    def write() -> None:
        place.sql(blog, "PRAGMA busy_timeout=20000" if place.engine.name == "sqlite" else "SELECT 1",
                  "INSERT INTO authors VALUES (3, 'Bo')")  # fmt: skip
        written.set()

    with place.engine.instant(blog) as instant:
        writer = threading.Thread(target=write)
        writer.start()
        instant.dump(folder)
        assert written.wait(15)
        assert instant.facts().tables["authors"].rows == 2
    writer.join()


def test_an_empty_database_can_be_captured_too(place: Place):
    folder, facts = dumped(place, place.new())
    assert facts.rows == 0 and not facts.schema.tables
    again = place.new()
    place.engine.load(again, folder)
    assert place.engine.schema(again).fingerprint == facts.schema.fingerprint


@pytest.mark.parametrize(
    ("change", "verdict", "sentence"),
    [
        ("CREATE TABLE tags (id INTEGER PRIMARY KEY)", "additive", "table tags was added"),
        ("ALTER TABLE posts ADD COLUMN slug VARCHAR(80)", "additive", "column posts.slug was added"),
        (
            "ALTER TABLE posts ADD COLUMN views INTEGER NOT NULL DEFAULT 0",
            "additive",
            "column posts.views was added",
        ),
        ("CREATE INDEX by_author ON posts (author)", "additive", "by_author of posts was added"),
        ("ALTER TABLE posts DROP COLUMN body", "destructive", "column posts.body was dropped"),
        ("ALTER TABLE posts RENAME COLUMN body TO text", "destructive", "column posts.body was dropped"),
        ("DROP TABLE visits", "destructive", "table visits was dropped"),
        ("ALTER TABLE visits RENAME TO hits", "destructive", "table visits was dropped"),
        ("CREATE UNIQUE INDEX one_title ON posts (title)", "unknown", "one_title of posts was added"),
        ("CREATE VIEW titles AS SELECT title FROM posts", "unknown", "view titles was added"),
    ],
)
def test_a_change_of_the_shape_is_classed(place: Place, blog: str, change: str, verdict: str, sentence: str):
    before = place.engine.schema(blog)
    place.sql(blog, change)
    found = difference(before, place.engine.schema(blog))
    assert found.verdict == verdict
    assert sentence in getattr(found, verdict)


def test_a_server_makes_a_database_that_nobody_else_can_read(server: Place):
    one, other = server.new(), server.new()
    server.sql(one, "CREATE TABLE mine (id INTEGER PRIMARY KEY)")
    name = other.rpartition("/")[2]
    with pytest.raises(Exception, match=r"(?i)denied"):
        server.sql(one.rpartition("/")[0] + "/" + name, "SELECT 1")


def test_creating_again_keeps_what_is_there(server: Place):
    url = server.new()
    server.sql(url, "CREATE TABLE mine (id INTEGER PRIMARY KEY)")
    name = url.rpartition("/")[2]
    again = server.engine.create(server.admin, name, "another")
    assert "mine" in server.engine.schema(again).tables
    with pytest.raises(Failed, match="cannot be reached"):
        server.engine.schema(url)


def test_a_swap_keeps_the_address_and_both_contents(server: Place):
    url = server.new()
    server.sql(url, "CREATE TABLE old (id INTEGER PRIMARY KEY)")
    new = server.engine.beside(server.admin, url, "_new")
    server.sql(new, "CREATE TABLE fresh (id INTEGER PRIMARY KEY)")
    server.engine.swap(server.admin, url, "_new", "_old")
    assert list(server.engine.schema(url).tables) == ["fresh"]
    assert server.engine.exists(server.admin, url, "_old") and not server.engine.exists(
        server.admin, url, "_new"
    )
    server.engine.swap(server.admin, url, "_new", "_old")  # as after a crash: it is done already
    assert list(server.engine.schema(url).tables) == ["fresh"]
    server.engine.swap(server.admin, url, "_old", "_new")
    assert list(server.engine.schema(url).tables) == ["old"]


def test_a_swap_with_nothing_changes_nothing(server: Place):
    url = server.new()
    server.sql(url, "CREATE TABLE old (id INTEGER PRIMARY KEY)")
    with pytest.raises(Failed, match="There is no database"):
        server.engine.swap(server.admin, url, "_new", "_old")
    assert list(server.engine.schema(url).tables) == ["old"]


def test_removing_leaves_nothing(server: Place):
    url = server.new()
    server.engine.remove(server.admin, url)
    server.engine.remove(server.admin, url)
    assert not server.engine.exists(server.admin, url)
