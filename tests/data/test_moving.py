"""Rows move between two databases of every engine: what moves, what stays, what is refused."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import databases
import pytest
from conftest import Place
from support import eventually

from gitdeploy.data import sqlite_content
from gitdeploy.data.content_side import Wish
from gitdeploy.data.sqlite import Sqlite
from gitdeploy.data.url import parse
from gitdeploy.domain.content import Rewriting, RowChange
from gitdeploy.errors import Failed, Refused
from gitdeploy.user import lesser

SERIAL = {
    "sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "postgres": "INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    "mariadb": "INTEGER AUTO_INCREMENT PRIMARY KEY",
}
TABLES = ("authors", "posts", "media", "forms", "visits")
BLOG = (
    "CREATE TABLE authors (id INTEGER PRIMARY KEY, name VARCHAR(80) NOT NULL, email VARCHAR(80) UNIQUE, boss INTEGER, "
    "FOREIGN KEY (boss) REFERENCES authors(id))",
    "CREATE TABLE posts (id {serial}, author INTEGER, slug VARCHAR(80) UNIQUE, body TEXT, "
    "CONSTRAINT posts_author FOREIGN KEY (author) REFERENCES authors(id))",
    "CREATE TABLE media (post INTEGER, place INTEGER, file VARCHAR(80), PRIMARY KEY (post, place), "
    "FOREIGN KEY (post) REFERENCES posts(id) ON DELETE CASCADE)",
    "CREATE TABLE forms (id INTEGER PRIMARY KEY, title VARCHAR(80))",
    "CREATE TABLE form_submissions (id INTEGER PRIMARY KEY, form_id INTEGER, said TEXT, "
    "CONSTRAINT to_form FOREIGN KEY (form_id) REFERENCES forms(id) ON DELETE CASCADE)",
    "CREATE TABLE sessions (id VARCHAR(40) PRIMARY KEY)",
    "CREATE TABLE visits (day VARCHAR(10), hits INTEGER)",
)
ROWS = (
    "INSERT INTO authors VALUES (1, 'Ana', 'ana@stage.test', NULL), (2, 'Zoë', 'zoe@stage.test', 1)",
    "INSERT INTO posts (author, slug, body) VALUES (1, 'one', 'It''s one'), (2, 'two', NULL), (2, 'three', '')",
    "INSERT INTO media VALUES (1, 1, 'a.png'), (3, 1, 'c.png')",
    "INSERT INTO forms VALUES (1, 'Contact'), (2, 'Order')",
    "INSERT INTO form_submissions VALUES (1, 1, 'hello')",
    "INSERT INTO visits VALUES ('2026-01-01', 5), ('2026-01-01', 5)",
)

BACK = (
    "UPDATE posts SET body = 'It''s one' WHERE id = 1", "DELETE FROM forms WHERE id = 7",
    "UPDATE media SET file = 'c.png' WHERE post = 3", "DELETE FROM visits WHERE day = '2026-02-02'",
)  # fmt: skip


def blog(place: Place, *rows: str) -> str:
    url = place.new()
    place.sql(url, *(line.replace("{serial}", SERIAL[place.engine.name]) for line in BLOG), *rows)
    return url


@pytest.fixture
def pair(place: Place) -> tuple[str, str, Path]:
    """Staging, production, and the base: what both held when one was made of the other."""
    stage, production = blog(place, *ROWS), blog(place, *ROWS)
    place.sql(production, "INSERT INTO sessions VALUES ('visitor')")
    move(place, production, stage, mark="m0", remember=place.folder / "base")
    return stage, production, place.folder / "base"


def move(
    place: Place, source: str, target: str, base: Path | None = None, *, tables=TABLES, mark="m1", **more
):
    with place.engine.compared(source, target, tables, Wish(mark, base, **more)) as make:
        found = make(lambda _: None)
    return {name: one for name, one in found.items() if one != RowChange()}


def marks(place: Place, url: str) -> list:
    try:
        return [row[0] for row in place.sql(url, "SELECT id FROM gitdeploy_moves WHERE made = 1")]
    except Exception as error:
        assert re.search("gitdeploy_moves|no such table", str(error))
        return []


def content(place: Place, url: str) -> dict[str, list]:
    keys = {"visits": "day", "media": "post, place"}
    return {name: place.sql(url, f"SELECT * FROM {name} ORDER BY {keys.get(name, 'id')}") for name in TABLES}


def test_an_empty_target_gets_all(place: Place):
    source, target = blog(place, *ROWS), blog(place)
    found = move(place, source, target)
    assert content(place, target) == content(place, source)
    assert found["posts"] == RowChange(added=3) and found["visits"] == RowChange(added=2)
    assert place.sql(target, "SELECT * FROM form_submissions") == []
    assert marks(place, target) == ["m1"] and marks(place, source) == []
    assert "gitdeploy_moves" not in place.engine.schema(target).tables


def test_what_came_changed_and_went_is_brought_over_and_the_rest_stays(place: Place, pair):
    stage, production, base = pair
    place.sql(stage, "UPDATE posts SET body = 'new' WHERE id = 2", "DELETE FROM media WHERE post = 3",
              "DELETE FROM posts WHERE id = 3", "INSERT INTO posts (author, slug) VALUES (1, 'four')",
              "INSERT INTO visits VALUES ('2026-01-02', 1)")  # fmt: skip
    place.sql(production, "INSERT INTO form_submissions VALUES (2, 2, 'meanwhile')")
    dry = move(place, stage, production, base, dry_run=True)
    assert dry == {"posts": RowChange(1, 1, 1), "media": RowChange(0, 0, 1), "visits": RowChange(1)}
    assert place.sql(production, "SELECT count(*) FROM posts WHERE slug = 'three'") == [(1,)]
    assert marks(place, production) == []
    assert move(place, stage, production, base) == dry
    assert content(place, production) == content(place, stage)
    assert place.sql(production, "SELECT count(*) FROM form_submissions") == [(2,)]
    assert place.sql(production, "SELECT id FROM sessions") == [("visitor",)]
    assert move(place, stage, production, base, mark="m2") == {}


def test_a_key_given_after_the_move_is_a_new_one(place: Place, pair):
    stage, production, base = pair
    place.sql(stage, "INSERT INTO posts (slug) VALUES ('four')", "INSERT INTO posts (slug) VALUES ('five')")
    move(place, stage, production, base)
    place.sql(production, "INSERT INTO posts (slug) VALUES ('six')")
    assert place.sql(production, "SELECT id FROM posts WHERE slug = 'six'") == [(6,)]


def test_what_only_the_target_changed_stays(place: Place, pair):
    stage, production, base = pair
    place.sql(production, "UPDATE posts SET body = 'theirs' WHERE id = 1", "DELETE FROM media WHERE post = 1",
              "INSERT INTO forms VALUES (3, 'theirs')", "DELETE FROM visits")  # fmt: skip
    place.sql(stage, "UPDATE posts SET body = 'mine' WHERE id = 2")
    assert move(place, stage, production, base) == {
        "posts": RowChange(0, 1, 0, (), 1, ("posts id=1",)),
        "media": RowChange(kept=1, kept_rows=("media post=1 place=1",)),
        "forms": RowChange(kept=1, kept_rows=("forms id=3",)),
        "visits": RowChange(kept=2, kept_rows=("visits (has no primary key)",)),
    }  # fmt: skip
    assert place.sql(production, "SELECT body FROM posts WHERE id < 3 ORDER BY id") == [
        ("theirs",),
        ("mine",),
    ]
    assert place.sql(production, "SELECT count(*) FROM media") == [(1,)]
    assert place.sql(production, "SELECT count(*) FROM forms") == [(3,)]
    assert place.sql(production, "SELECT count(*) FROM visits") == [(0,)]


def test_what_both_changed_is_refused_by_name_until_it_may_be_overwritten(place: Place, pair):
    stage, production, base = pair
    place.sql(production, "UPDATE posts SET body = 'theirs' WHERE id = 1", "DELETE FROM forms WHERE id = 2",
              "UPDATE media SET file = 'theirs' WHERE post = 3", "INSERT INTO forms VALUES (7, 'theirs')",
              "INSERT INTO visits VALUES ('2026-02-02', 1)")  # fmt: skip
    place.sql(stage, "UPDATE posts SET body = 'mine' WHERE id = 1", "UPDATE forms SET title = 'mine' WHERE id = 2",
              "DELETE FROM media WHERE post = 3", "INSERT INTO forms VALUES (7, 'mine')",
              "INSERT INTO visits VALUES ('2026-03-03', 1)")  # fmt: skip
    before = content(place, production)
    named = ("posts id=1", "forms id=2", "forms id=7", "media post=3 place=1", "visits (has no primary key)")
    with pytest.raises(Refused, match="Both sides have changed") as refused:
        move(place, stage, production, base)
    assert all(one in refused.value.message for one in named), refused.value.message
    assert content(place, production) == before
    dry = move(place, stage, production, base, dry_run=True)
    assert {one for change in dry.values() for one in change.conflicts} == set(named)
    move(place, stage, production, base, overwrite=True)
    assert content(place, production) == content(place, stage)


def test_what_is_written_after_the_look_is_seen_where_the_move_would_touch_it(place: Place, pair):
    stage, production, base = pair
    place.sql(stage, "UPDATE posts SET body = 'mine' WHERE id < 3", "INSERT INTO forms VALUES (7, 'mine'), (8, 'mine')",
              "DELETE FROM media WHERE post = 3", "INSERT INTO visits VALUES ('2026-03-03', 1)")  # fmt: skip
    both = (
        "UPDATE posts SET body = 'theirs' WHERE id = 1", "INSERT INTO forms VALUES (7, 'theirs')",
        "UPDATE media SET file = 'theirs' WHERE post = 3", "INSERT INTO visits VALUES ('2026-02-02', 1)",
    )  # fmt: skip
    named = ("posts id=1", "forms id=7", "media post=3 place=1", "visits (has no primary key)")
    with place.engine.compared(stage, production, TABLES, Wish("m1", base)) as make:
        place.sql(production, *both)
        before = content(place, production)
        with pytest.raises(Refused, match="Both sides have changed") as refused:
            make(lambda _: None)
    assert all(one in refused.value.message for one in named), refused.value.message
    assert "posts id=2" not in refused.value.message and "forms id=8" not in refused.value.message
    assert content(place, production) == before and marks(place, production) == []
    # What is the same by now is no conflict; what only they changed stays, looked at or not.
    place.sql(production, *BACK)
    with place.engine.compared(stage, production, TABLES, Wish("m2", base)) as make:
        place.sql(production, "UPDATE posts SET body = 'mine' WHERE id = 1", "DELETE FROM media WHERE post = 3",
                  "UPDATE posts SET body = 'theirs' WHERE id = 3", "INSERT INTO forms VALUES (9, 'theirs')",
                  "DELETE FROM media WHERE post = 1")  # fmt: skip
        place.sql(stage, "UPDATE posts SET body = 'later' WHERE id = 2")
        assert {name: one for name, one in make(lambda _: None).items() if not one.is_empty} == {
            "posts": RowChange(0, 1, 0), "forms": RowChange(2), "visits": RowChange(1),
        }  # fmt: skip
    assert place.sql(production, "SELECT body FROM posts ORDER BY id") == [("mine",), ("mine",), ("theirs",)]
    assert place.sql(production, "SELECT id FROM forms ORDER BY id") == [(1,), (2,), (7,), (8,), (9,)]
    assert place.sql(production, "SELECT * FROM media") == []
    # Who is to become what the source is becomes that in what it had not, whatever was written meanwhile.
    with place.engine.compared(stage, production, TABLES, Wish("m3", overwrite=True)) as make:
        place.sql(production, "UPDATE posts SET body = 'again' WHERE id = 3", "DELETE FROM forms WHERE id = 9",
                  "INSERT INTO media VALUES (1, 1, 'theirs')", "INSERT INTO media VALUES (2, 1, 'theirs')")  # fmt: skip
        make(lambda _: None)
    assert content(place, production) | {"media": ()} == content(place, stage) | {"media": ()}
    assert place.sql(production, "SELECT * FROM media ORDER BY post") == [(1, 1, "a.png"), (2, 1, "theirs")]


def test_a_move_reads_no_table_that_it_does_not_touch_once_both_were_looked_at(place: Place, pair):
    stage, production, base = pair
    place.sql(stage, "UPDATE forms SET title = 'mine' WHERE id = 1")
    with place.engine.compared(stage, production, TABLES, Wish("m1", base)) as make:
        place.sql(production, "DROP TABLE media", "DROP TABLE posts", "DROP TABLE visits")
        assert make(lambda _: None)["forms"] == RowChange(0, 1, 0)
    assert place.sql(production, "SELECT title FROM forms ORDER BY id") == [("mine",), ("Order",)]


def test_columns_that_change_after_the_look_stop_the_move(place: Place, pair):
    stage, production, base = pair
    place.sql(stage, "UPDATE forms SET title = 'mine' WHERE id = 1")
    with place.engine.compared(stage, production, TABLES, Wish("m1", base)) as make:
        place.sql(production, "ALTER TABLE forms ADD COLUMN subtitle VARCHAR(80)")
        with pytest.raises(Refused, match="columns of forms are not what they were"):
            make(lambda _: None)
    assert place.sql(production, "SELECT title FROM forms WHERE id = 1") == [("Contact",)]


def test_without_a_base_nothing_is_changed_unasked(place: Place, pair):
    stage, production, _ = pair
    place.sql(stage, "INSERT INTO forms VALUES (3, 'new')")
    assert move(place, stage, production) == {"forms": RowChange(1)}
    place.sql(stage, "UPDATE posts SET body = 'mine' WHERE id = 1")
    place.sql(production, "INSERT INTO forms VALUES (9, 'theirs')")
    with pytest.raises(Refused, match=r"forms id=9, posts id=1|posts id=1, forms id=9"):
        move(place, stage, production, mark="m2")
    move(place, stage, production, mark="m3", overwrite=True)
    assert content(place, production) == content(place, stage)


def test_a_base_from_before_a_column_came_still_tells_what_changed(place: Place, pair):
    stage, production, base = pair
    for url in (stage, production):
        place.sql(url, "ALTER TABLE posts ADD COLUMN subtitle VARCHAR(80)")
    place.sql(stage, "UPDATE posts SET body = 'mine' WHERE id = 1")
    place.sql(production, "UPDATE posts SET body = 'theirs' WHERE id = 2")
    assert move(place, stage, production, base) == {"posts": RowChange(0, 1, 0, (), 1, ("posts id=2",))}


def test_rows_of_a_table_that_stays_keep_what_they_refer_to(place: Place, pair):
    stage, production, base = pair
    place.sql(stage, "DELETE FROM form_submissions", "DELETE FROM forms WHERE id = 1")
    before = content(place, production)
    with pytest.raises(Refused, match="Rows of form_submissions would refer to rows of forms") as refused:
        move(place, stage, production, base)
    assert ("form_id refers" if place.engine.name == "sqlite" else "to_form") in refused.value.message
    assert content(place, production) == before
    assert place.sql(production, "SELECT count(*) FROM form_submissions") == [(1,)]


def test_what_comes_refers_to_nothing_that_does_not(place: Place, pair):
    stage, production, base = pair
    place.sql(
        stage,
        "INSERT INTO authors VALUES (9, 'New', 'new', NULL)",
        "UPDATE posts SET author = 9 WHERE id = 1",
    )
    with pytest.raises(Refused, match="Rows of posts would refer to rows of authors"):
        move(place, stage, production, base, tables=("posts",))
    assert move(place, stage, production, base) == {"authors": RowChange(1), "posts": RowChange(0, 1)}


def test_children_that_change_parents_do_not_go_with_the_old_one(place: Place, pair):
    stage, production, base = pair
    place.sql(stage, "UPDATE media SET post = 1, place = 2 WHERE post = 3", "DELETE FROM posts WHERE id = 3",
              "UPDATE posts SET author = 1", "UPDATE authors SET boss = NULL", "DELETE FROM authors WHERE id = 2",
              "INSERT INTO authors VALUES (3, 'Cy', 'zoe@stage.test', 1)")  # fmt: skip
    move(place, stage, production, base)
    assert content(place, production) == content(place, stage)


def test_unique_values_may_change_hands(place: Place, pair):
    stage, production, base = pair
    place.sql(stage, "UPDATE posts SET slug = 'x' WHERE id = 1", "UPDATE posts SET slug = 'one' WHERE id = 2",
              "UPDATE posts SET slug = 'two' WHERE id = 1", "DELETE FROM media WHERE post = 3",
              "DELETE FROM posts WHERE id = 3", "INSERT INTO posts (slug) VALUES ('three')")  # fmt: skip
    assert move(place, stage, production, base)["posts"] == RowChange(1, 2, 1)
    assert content(place, production) == content(place, stage)
    assert "media" in place.engine.schema(production).tables["media"].name
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        place.sql(production, "UPDATE posts SET author = 77 WHERE id = 1")


def test_tables_that_refer_to_each_other_move_too(place: Place):
    source, target = place.new(), place.new()
    for url in (source, target):
        lines = ["CREATE TABLE a (id INTEGER PRIMARY KEY, b INTEGER)",
                 "CREATE TABLE b (id INTEGER PRIMARY KEY, a INTEGER, FOREIGN KEY (a) REFERENCES a(id))",
                 "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b(id)"]  # fmt: skip
        if place.engine.name == "sqlite":
            lines = ["CREATE TABLE a (id INTEGER PRIMARY KEY, b INTEGER REFERENCES b(id))", lines[1]]
        place.sql(url, *lines)
    place.sql(source, "INSERT INTO a VALUES (1, NULL)", "INSERT INTO b VALUES (1, 1)", "UPDATE a SET b = 1")
    move(place, source, target, tables=("a", "b"))
    assert place.sql(target, "SELECT * FROM a, b") == [(1, 1, 1, 1)]
    place.sql(source, "UPDATE a SET b = NULL", "DELETE FROM b", "DELETE FROM a")
    move(place, source, target, tables=("a", "b"), mark="m2", overwrite=True)
    assert place.sql(target, "SELECT * FROM a") == []


def test_other_columns_are_refused(place: Place, pair):
    stage, production, base = pair
    place.sql(stage, "ALTER TABLE posts ADD COLUMN subtitle TEXT")
    with pytest.raises(Refused, match=r"column posts\.subtitle is only on one side") as refused:
        move(place, stage, production, base)
    assert "Promote the code first" in refused.value.hint


def test_triggers_of_the_target_do_not_fire(place: Place, pair):
    """MariaDB cannot hold them back: there they see what moves."""
    stage, production, base = pair
    begin = "CREATE TRIGGER seen AFTER INSERT ON forms"
    place.sql(production, *{
        "sqlite": [f"{begin} BEGIN INSERT INTO sessions VALUES (NEW.id); END"],
        "mariadb": [f"{begin} FOR EACH ROW INSERT INTO sessions VALUES (NEW.id)"],
        "postgres": ["CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS "
                     "'BEGIN INSERT INTO sessions VALUES (NEW.id); RETURN NEW; END'",
                     f"{begin} FOR EACH ROW EXECUTE FUNCTION seen()"],
    }[place.engine.name])  # fmt: skip
    place.sql(stage, "INSERT INTO forms VALUES (3, 'new')")
    move(place, stage, production, base)
    seen = [("3",)] if place.engine.name == "mariadb" else []
    assert place.sql(production, "SELECT id FROM sessions WHERE id <> 'visitor'") == seen
    place.sql(production, "INSERT INTO forms VALUES (4, 'by hand')")
    assert ("4",) in place.sql(production, "SELECT id FROM sessions")


def test_addresses_and_personal_data_are_rewritten_on_the_way(place: Place):
    serialised = 'a:1:{s:3:"url";s:22:"https://stage.test/é/";}'
    body = f"INSERT INTO posts (author, slug, body) VALUES (1, 'wp', '{serialised}'), (1, 'stage.test', 'stage.test')"
    source, target = blog(place, *ROWS, body), blog(place)
    rewriting = Rewriting(
        {"stage.test": "example.org"},
        ("posts.body",),
        {"authors.email": "email", "authors.name": "name"},
        b"key",
    )
    move(place, source, target, rewriting=rewriting, remember=place.folder / "base")
    assert place.sql(target, "SELECT body FROM posts WHERE slug = 'wp'") == [
        (serialised.replace("s:22", "s:23").replace("stage.test", "example.org"),)
    ]
    assert place.sql(target, "SELECT body FROM posts WHERE slug = 'stage.test'") == [("example.org",)]
    emails = [one for (one,) in place.sql(target, "SELECT email FROM authors ORDER BY id")]
    assert all(one.endswith("@example.invalid") for one in emails) and len(set(emails)) == 2
    assert move(place, source, target, rewriting=rewriting, mark="m2") == {}

    # Back up again: what was masked stays as the target has it, what nobody touched is not touched.
    place.sql(
        target, "UPDATE posts SET body = 'new' WHERE id = 1", "UPDATE authors SET boss = 1 WHERE id = 1"
    )
    place.sql(source, "UPDATE authors SET email = 'other' WHERE id = 2")
    up = Rewriting({"example.org": "stage.test"}, ("posts.body",), keep=("authors.email", "authors.name"))
    found = move(place, target, source, place.folder / "base", rewriting=up, mark="m3", as_target=True,
                 remember=place.folder / "after")  # fmt: skip
    assert found == {"posts": RowChange(0, 1), "authors": RowChange(0, 1)}
    assert place.sql(source, "SELECT name, email FROM authors ORDER BY id") == [
        ("Ana", "ana@stage.test"), ("Zoë", "other"),
    ]  # fmt: skip
    place.sql(source, "UPDATE posts SET body = 'theirs' WHERE id = 3")
    found = move(place, target, source, place.folder / "after", rewriting=up, mark="m4")
    assert found == {"posts": RowChange(kept=1, kept_rows=("posts id=3",))}


def test_a_mask_is_never_left_out(place: Place):
    source, target = blog(place, *ROWS), blog(place)
    other = Rewriting(mask={"visits.hits": "hash"}, key=b"key")
    if place.engine.name == "sqlite":  # any column of it may hold text
        move(place, source, target, tables=("visits",), rewriting=other)
        assert all(
            isinstance(hits, str) and len(hits) == 32
            for (hits,) in place.sql(target, "SELECT hits FROM visits")
        )
    else:
        with pytest.raises(Refused, match=r"visits\.hits is no text"):
            move(place, source, target, tables=("visits",), rewriting=other)
    move(place, source, target, tables=("visits",), rewriting=Rewriting(mask={"visits.hits": "null"}, key=b"key"),
         mark="m2", overwrite=True)  # fmt: skip
    assert place.sql(target, "SELECT DISTINCT hits FROM visits") == [(None,)]


def test_the_shape_comes_without_rows(place: Place):
    source, target = blog(place, *ROWS), place.new()
    place.sql(
        source, "CREATE VIEW titles AS SELECT title FROM forms", "CREATE INDEX by_hits ON visits (hits)"
    )
    move(place, blog(place), source, tables=(), mark="m0")  # the table of marks is no part of it
    place.engine.shape(source, target)
    assert place.engine.schema(target).fingerprint == place.engine.schema(source).fingerprint
    assert all(place.sql(target, f"SELECT count(*) FROM {name}") == [(0,)] for name in TABLES)
    move(place, source, target)
    assert content(place, target) == content(place, source)


def test_a_mark_is_used_once(place: Place, pair):
    stage, production, base = pair
    move(place, stage, production, base)
    place.sql(stage, "INSERT INTO forms VALUES (3, 'new')")
    with pytest.raises(Failed):
        move(place, stage, production, base)
    assert place.sql(production, "SELECT count(*) FROM forms") == [(2,)]


def test_who_writes_elsewhere_meanwhile_loses_nothing(place: Place, pair):
    stage, production, base = pair
    if place.engine.name == "sqlite":
        place.sql(production, "PRAGMA journal_mode=WAL")
    many = ", ".join(f"({n}, 'form {n}')" for n in range(10, 3000))
    place.sql(stage, f"INSERT INTO forms VALUES {many}")
    stop, written = threading.Event(), []

    def write() -> None:
        with place.connected(production) as execute:
            if place.engine.name == "sqlite":
                execute("PRAGMA busy_timeout=20000")
            while not stop.is_set() or len(written) < 20:
                execute(f"INSERT INTO form_submissions VALUES ({len(written) + 100}, 2, 'x')")
                written.append(1)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        eventually(lambda: len(written) > 2)
        move(place, stage, production, base)
    finally:
        stop.set()
        writer.join()
    assert place.sql(production, "SELECT count(*) FROM form_submissions WHERE id >= 100") == [(len(written),)]
    assert content(place, production) == content(place, stage)


MOVER = """
import sys
from pathlib import Path
from gitdeploy.data import content
from gitdeploy.data.content_side import Wish
from gitdeploy.data.{module} import {engine}
real = content.insert
def insert(side, plan, *more):
    real(side, plan, *more)
    print("inserted", flush=True)
    sys.stdin.readline()
content.insert = insert
with {engine}().compared({source!r}, {target!r}, {tables!r}, Wish("killed", overwrite=True)) as move:
    move(lambda _: None)
print("done", flush=True)
"""


@pytest.mark.parametrize("finish", [False, True])
def test_a_move_that_is_killed_was_made_or_was_not(place: Place, finish: bool):
    source, target = blog(place, *ROWS), blog(place)
    before = content(place, target)
    engine = type(place.engine)
    code = MOVER.format(module=engine.__module__.rpartition(".")[2], engine=engine.__name__, source=source,
                        target=target, tables=TABLES)  # fmt: skip
    mover = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})  # fmt: skip
    assert mover.stdout and mover.stdin
    assert mover.stdout.readline() == b"inserted\n"
    if finish:
        mover.stdin.write(b"\n" * len(TABLES))
        mover.stdin.flush()
        while mover.stdout.readline() != b"done\n":
            assert mover.poll() is None
    mover.send_signal(signal.SIGKILL)
    mover.communicate()
    eventually(lambda: content(place, target) == (content(place, source) if finish else before))
    assert place.engine.settle(target, "killed") is place.engine.settle(target, "killed") is finish
    if not finish:
        with pytest.raises(Failed):
            move(place, source, target, mark="killed", overwrite=True)
        assert content(place, target) == before
        move(place, source, target, mark="again", overwrite=True)
        assert content(place, target) == content(place, source)


@pytest.mark.parametrize("wal", [False, True])
def test_files_of_a_database_stay_those_of_its_programs(wal: bool, monkeypatch: pytest.MonkeyPatch):
    user = lesser("nobody")
    owners: set[int] = set()
    with databases.folder_of("nobody") as folder:
        place = Place(Sqlite(user), "", folder)
        source, target = blog(place, *ROWS), blog(place)
        if wal:
            place.sql(target, "PRAGMA journal_mode=WAL")
        for file in folder.iterdir():
            os.chown(file, *((user.uid, user.gid) if user else (-1, -1)))
        real = sqlite_content.SqliteSide.commit

        def commit(side, mark: str) -> None:
            owners.update(one.stat().st_uid for one in folder.iterdir())
            assert len(list(folder.iterdir())) > 2  # a journal too
            real(side, mark)

        monkeypatch.setattr(sqlite_content.SqliteSide, "commit", commit)
        move(place, source, target)
        assert owners == {user.uid if user else os.geteuid()}
        assert content(place, target) == content(place, source)


def test_a_link_that_programs_planted_leads_nowhere_that_they_could_not_go(tmp_path: Path):
    user = lesser("nobody")
    ours = Place(Sqlite(), "", tmp_path)
    secret = blog(ours, *ROWS)
    if user is None:
        parse(secret).path.chmod(0)
    with databases.folder_of("nobody") as folder:
        place = Place(Sqlite(user), "", folder)
        theirs = blog(place)
        link = folder / "link.db"
        link.symlink_to(parse(secret).path)
        for source, target in ((theirs, f"sqlite:///{link}"), (f"sqlite:///{link}", theirs)):
            with pytest.raises(Failed):
                move(place, source, target, overwrite=True)
    parse(secret).path.chmod(0o600)
    assert len(ours.sql(secret, "SELECT * FROM posts")) == 3
