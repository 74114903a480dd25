"""What is particular to MariaDB: its types, what has a definer, and a swap without a rename of databases."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from conftest import Place

from gitdeploy.data import mariadb_swap
from gitdeploy.data.content_side import Wish
from gitdeploy.data.mariadb import MariaDb
from gitdeploy.data.mariadb_link import connect
from gitdeploy.domain.content import Rewriting
from gitdeploy.errors import Failed

KINDS = (
    """CREATE TABLE `größe ☃` (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, f FLOAT, d DOUBLE, n DECIMAL(30,10),
       b BIT(9), l VARCHAR(20) CHARACTER SET latin1, u VARCHAR(20) CHARACTER SET utf16, e ENUM('ä','b'),
       s SET('x','y'), bin VARBINARY(300), j JSON, t TIMESTAMP NULL, day DATE, y YEAR, uid UUID, ip INET6, g POINT,
       twice DOUBLE AS (d * 2) STORED, hidden INT INVISIBLE DEFAULT 7)""",
    """INSERT INTO `größe ☃` (id, f, d, n, b, l, u, e, s, bin, j, t, day, y, uid, ip, g, hidden) VALUES
       (18446744073709551614, 0.1234567, 0.1, 12345678901234567890.0123456789, b'100000001', 'Zoë €', '☃ 日', 'ä',
        'x,y', UNHEX('00270A0D5C1AFF22'), '{"a": "\\\\u00e9"}', '2026-03-29 02:30:00', '2026-01-31', 1999,
        '123e4567-e89b-12d3-a456-426655440000', '2001:db8::1', POINT(1, 2), 8),
       (5, NULL, NULL, NULL, NULL, '', '', NULL, '', '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)""",
    "SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO'",
    "INSERT INTO `größe ☃` (id, day) VALUES (0, '0000-00-00')",
)
BLOG = (
    "CREATE TABLE authors (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(80))",
    "CREATE TABLE posts (id INT AUTO_INCREMENT PRIMARY KEY, author INT, title VARCHAR(80), changes INT DEFAULT 0, "
    "FOREIGN KEY (author) REFERENCES authors(id))",
    "CREATE FUNCTION loud(t TEXT) RETURNS TEXT DETERMINISTIC RETURN UPPER(t)",
    "CREATE VIEW a_first AS SELECT * FROM z_titles",
    "CREATE TRIGGER counted BEFORE UPDATE ON posts FOR EACH ROW SET NEW.changes = OLD.changes + 1",
    "CREATE EVENT weekly ON SCHEDULE EVERY 1 WEEK DO DELETE FROM posts WHERE title = 'never'",
    "INSERT INTO authors VALUES (1, 'Ana')",
)


@pytest.fixture
def place(mariadb: str, tmp_path: Path) -> Place:
    return Place(MariaDb(), mariadb, tmp_path)


def dumped(place: Place, url: str, name: str = "dump"):
    folder = place.folder / name
    folder.mkdir()
    with place.engine.instant(url) as instant:
        instant.dump(folder)
        return folder, instant.facts()


def with_definitions(place: Place, url: str, title: str) -> None:
    lines = list(BLOG)
    lines.insert(3, "CREATE VIEW z_titles AS SELECT loud(title) AS title FROM posts")
    place.sql(url, *lines, f"INSERT INTO posts (author, title) VALUES (1, '{title}')")


def test_values_of_every_type_come_back_as_they_were(place: Place):
    url, again = place.new(), place.new()
    place.sql(url, *KINDS)
    folder, facts = dumped(place, url)
    place.engine.load(again, folder)
    with place.engine.instant(again) as instant:
        assert instant.facts().differs_from(facts) == ""
    everything = (
        "SELECT *, hidden, HEX(bin), HEX(l), HEX(u), b + 0, ST_AsText(g), CAST(f AS DOUBLE) FROM `größe ☃`"
    )
    assert place.sql(again, everything) == place.sql(url, everything)


def test_a_row_that_changes_is_one_line(place: Place):
    url = place.new()
    place.sql(url, "CREATE TABLE posts (id INT PRIMARY KEY, body TEXT)",
              "INSERT INTO posts SELECT seq, CONCAT('line\\n', seq) FROM seq_1_to_5000")  # fmt: skip
    first, _ = dumped(place, url, "first")
    place.sql(url, "UPDATE posts SET body = 'other' WHERE id = 3")
    second, _ = dumped(place, url, "second")
    before, after = ((one / "posts.rows").read_bytes().splitlines() for one in (first, second))
    assert len(before) == len(after) == 5000
    assert [n for n in range(5000) if before[n] != after[n]] == [2]
    assert (first / "shape.json").read_bytes() == (second / "shape.json").read_bytes()


def test_views_triggers_routines_and_events_go_along_and_name_no_role(place: Place):
    url, again = place.new(), place.new()
    with_definitions(place, url, "one")
    folder, facts = dumped(place, url)
    assert "DEFINER=" not in (folder / "shape.json").read_text()
    place.engine.load(again, folder)
    place.engine.remove(place.admin, url)  # whose role is gone with it
    assert place.engine.schema(again).fingerprint == facts.schema.fingerprint
    assert place.sql(again, "SELECT title FROM a_first") == [("ONE",)]
    assert place.sql(again, "UPDATE posts SET title = 'two'", "SELECT changes FROM posts") == [(1,)]


def test_a_table_without_transactions_is_named(place: Place):
    url = place.new()
    place.sql(url, "CREATE TABLE old (id INT PRIMARY KEY) ENGINE=MyISAM")
    with pytest.raises(Failed, match="old is kept by MyISAM") as refused, place.engine.instant(url):
        pass
    assert "ENGINE=InnoDB" in refused.value.hint


def test_a_name_that_is_too_long_is_said_to_be(place: Place):
    with pytest.raises(Failed, match="longer than the 64 characters"):
        place.engine.create(place.admin, "x" * 65, "secret")


def test_a_role_reaches_no_database_with_a_name_that_its_own_would_match_as_a_pattern(place: Place):
    mine = place.engine.create(place.admin, "a_c", "secret")
    place.engine.create(place.admin, "abc", "secret")
    with pytest.raises(Failed, match="denied"):
        place.engine.schema(mine.removesuffix("a_c") + "abc")


def swapping(place: Place) -> str:
    url = place.new()
    with_definitions(place, url, "live")
    new = place.engine.beside(place.admin, url, "_new")
    with_definitions(place, new, "new")
    place.sql(new, "CREATE VIEW more AS SELECT 1 AS one", "DROP VIEW a_first")
    return url


def is_swapped(place: Place, url: str) -> None:
    old = str(url) + "_old"
    assert place.sql(url, "SELECT title FROM z_titles") == [("NEW",)]
    assert place.sql(old, "SELECT title FROM a_first") == [("LIVE",)]
    for one, others in ((url, {"view more", "view z_titles"}), (old, {"view a_first", "view z_titles"})):
        schema = place.engine.schema(one)
        assert sorted(schema.tables) == ["authors", "posts"] and schema.tables["posts"].refers == ("authors",)
        assert set(schema.others) == others | {"trigger counted", "function loud", "event weekly"}
        with pytest.raises(Exception, match="foreign key constraint fails"):
            place.sql(one, "UPDATE posts SET author = 9")
    assert place.sql(url, "UPDATE posts SET title = 'x'", "SELECT changes FROM posts") == [(1,)]
    assert not place.engine.exists(place.admin, url, "_new")


def test_what_is_no_table_changes_places_too(place: Place):
    url = swapping(place)
    place.engine.swap(place.admin, url, "_new", "_old")
    is_swapped(place, url)
    place.engine.swap(place.admin, url, "_old", "_new")
    assert place.sql(url, "SELECT title FROM a_first") == [("LIVE",)]


class Killed(BaseException):
    """Nothing runs after this but what a dead process could not prevent either."""


@pytest.mark.parametrize("step", ["_write", "_drop", "RENAME", "finish", "_make"])
def test_a_swap_that_was_killed_is_finished_by_the_next_one(
    place: Place, step: str, monkeypatch: pytest.MonkeyPatch
):
    url = swapping(place)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        die_at(step, patch)
        place.engine.swap(place.admin, url, "_new", "_old")
    place.engine.swap(place.admin, url, "_new", "_old")
    is_swapped(place, url)


def die_at(step: str, patch: pytest.MonkeyPatch) -> None:
    """From this step on every statement fails, those that would tidy up too."""
    from gitdeploy.data.mariadb_link import Link

    real, dead = Link.do, []

    def do(self: Link, line: str | bytes) -> int:
        if dead or (step == "RENAME" and str(line).startswith("RENAME")):
            if not dead:
                real(self, line)
            dead.append(1)
            raise Killed
        return real(self, line)

    def after(real_step):
        def run(*given):
            real_step(*given)
            dead.append(1)
            raise Killed

        return run

    patch.setattr(Link, "do", do)
    if step != "RENAME":
        patch.setattr(mariadb_swap, step, after(getattr(mariadb_swap, step)))


def test_a_swap_waits_for_nobody_who_is_connected(place: Place):
    url = place.new()
    place.sql(url, "CREATE TABLE posts (id INT PRIMARY KEY)")
    new = place.engine.beside(place.admin, url, "_new")
    place.sql(new, "CREATE TABLE posts (id INT PRIMARY KEY)", "INSERT INTO posts VALUES (1)")
    with connect(url) as idle:
        idle.do("START TRANSACTION")
        idle.do("INSERT INTO posts VALUES (9)")
        done = threading.Event()

        def swap() -> None:
            place.engine.swap(place.admin, url, "_new", "_old")
            done.set()

        threading.Thread(target=swap).start()
        assert done.wait(10)
    assert place.sql(url, "SELECT id FROM posts") == [(1,)]
    assert place.sql(str(url) + "_old", "SELECT id FROM posts") == []


WORDPRESS = (
    "CREATE TABLE wp_posts (ID BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, "
    "post_author BIGINT UNSIGNED NOT NULL DEFAULT 0, post_date DATETIME NOT NULL "
    "DEFAULT '0000-00-00 00:00:00', post_content LONGTEXT NOT NULL, "
    "post_name VARCHAR(200) NOT NULL DEFAULT '', guid VARCHAR(255) NOT NULL DEFAULT '', "
    "KEY post_name (post_name(191)))",
    "CREATE TABLE wp_postmeta (meta_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, "
    "post_id BIGINT UNSIGNED NOT NULL DEFAULT 0, meta_key VARCHAR(255), meta_value LONGTEXT, KEY post_id (post_id))",
    "CREATE TABLE wp_options (option_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, option_name VARCHAR(191) "
    "NOT NULL DEFAULT '' UNIQUE, option_value LONGTEXT CHARACTER SET latin1 NOT NULL)",
    "CREATE TABLE wp_users (ID BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, user_email VARCHAR(100) NOT NULL)",
)
WIDGET = 'a:1:{i:2;a:2:{s:5:"title";s:6:"Größe";s:3:"url";s:20:"https://stage.test/x";}}'.replace(
    "s:6:", "s:7:"
)


def test_a_wordpress_goes_up_with_its_addresses_and_without_its_people(place: Place):
    stage, production = place.new(), place.new()
    for url in (stage, production):
        place.sql(url, "SET sql_mode = ''", *WORDPRESS, "INSERT INTO wp_users VALUES (1, 'ana@shop.test')")
    place.sql(stage, "SET sql_mode = ''", "INSERT INTO wp_posts (post_content, guid) VALUES "
              "('<a href=\"https://stage.test/?p=1\">1</a>', 'https://stage.test/?p=1'), ('', '')",
              f"INSERT INTO wp_options (option_name, option_value) VALUES ('siteurl', 'https://stage.test'), "
              f"('widget', '{WIDGET}')",
              "INSERT INTO wp_postmeta (post_id, meta_key, meta_value) VALUES (1, '_elementor', "
              "'[{\"url\":\"https:\\\\/\\\\/stage.test\\\\/a.png\"}]')",
              "UPDATE wp_users SET user_email = 'x'")  # fmt: skip
    tables = ("wp_posts", "wp_postmeta", "wp_options")
    wish = Wish("1", rewriting=Rewriting({"stage.test": "www.shop.test"}))
    with place.engine.compared(stage, production, tables, wish) as move:
        move(lambda _: None)
    options = dict(place.sql(production, "SELECT option_name, option_value FROM wp_options"))
    assert options["siteurl"] == "https://www.shop.test"
    assert options["widget"] == WIDGET.replace("s:20:", "s:23:").replace("stage", "www.shop")
    assert place.sql(production, "SELECT HEX('ö') <> '', HEX(SUBSTR(option_value, LOCATE('Gr', option_value), 3)) "
                     "FROM wp_options WHERE option_name = 'widget'")[0][1] == "4772F6"  # fmt: skip
    meta = place.sql(production, "SELECT meta_value FROM wp_postmeta")
    assert meta == [('[{"url":"https:\\/\\/www.shop.test\\/a.png"}]',)]
    assert place.sql(production, "SELECT guid, CAST(post_date AS CHAR) FROM wp_posts WHERE ID = 1") == [
        ("https://www.shop.test/?p=1", "0000-00-00 00:00:00")
    ]
    assert place.sql(production, "SELECT user_email FROM wp_users") == [("ana@shop.test",)]
