"""A swap of two databases is undone, wherever it was killed, and so is the undoing."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import psycopg
import pytest
from conftest import Place

from gitdeploy.data.mariadb_link import Link

LIVE = ("CREATE TABLE posts (id INTEGER PRIMARY KEY, title VARCHAR(80), changes INTEGER DEFAULT 0)",
        "CREATE VIEW titles AS SELECT title FROM posts")  # fmt: skip
TRIGGER = "CREATE TRIGGER counted BEFORE UPDATE ON posts FOR EACH ROW SET NEW.changes = OLD.changes + 1"


class Killed(BaseException):
    """Nothing runs after this."""


class Mortal:
    """Statements that change something are counted; the one of this number is not run, and none after it."""

    def __init__(self, place: Place, patch: pytest.MonkeyPatch, number: int) -> None:
        owner, name = (psycopg.Connection, "execute") if place.engine.name == "postgres" else (Link, "do")
        real, self.count, self.number = getattr(owner, name), 0, number
        mortal = self

        def counting(connection: object, line: object, *more: object, **options: object) -> object:
            mortal.count += 1
            if mortal.count >= number:
                raise Killed
            return real(connection, line, *more, **options)

        patch.setattr(owner, name, counting)

    @property
    def died(self) -> bool:
        return self.count >= self.number


def prepared(place: Place) -> str:
    url = place.new()
    new = place.engine.beside(place.admin, url, "_new")
    for one, title in ((url, "live"), (new, "new")):
        place.sql(one, *LIVE, f"INSERT INTO posts (id, title) VALUES (1, '{title}')")
        if place.engine.name == "mariadb":
            place.sql(one, TRIGGER)
    place.sql(new, "CREATE VIEW more AS SELECT 1 AS one")
    return url


def dies(place: Place, number: int, act: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> bool:
    with monkeypatch.context() as patch:
        mortal = Mortal(place, patch, number)
        try:
            act()
        except Killed:
            assert mortal.died
    return mortal.died


def is_as_before(place: Place, url: str) -> None:
    for one, title, others in (
        (url, "live", {"view titles"}),
        (url + "_new", "new", {"view more", "view titles"}),
    ):
        assert place.sql(one, "SELECT title FROM titles") == [(title,)]
        schema = place.engine.schema(one)
        assert list(schema.tables) == ["posts"]
        triggers = {"trigger counted"} if place.engine.name == "mariadb" else set()
        assert set(schema.others) == others | triggers
        if triggers:
            assert place.sql(one, "UPDATE posts SET title = title", "SELECT changes > 0 FROM posts") == [(1,)]
    assert not place.engine.exists(place.admin, url, "_old")


every = pytest.mark.parametrize("stride", [13, pytest.param(1, marks=pytest.mark.soak)], ids=["short", "all"])
"""From the first statement on, at every so many."""


@every
def test_a_swap_is_put_back_wherever_it_was_killed(
    server: Place, stride: int, monkeypatch: pytest.MonkeyPatch
):
    url, engine = prepared(server), server.engine
    for number in itertools.count(1, stride if server.engine.name == "mariadb" else 1):
        died = dies(server, number, lambda: engine.swap(server.admin, url, "_new", "_old"), monkeypatch)
        engine.put_back(server.admin, url, "_new", "_old")
        is_as_before(server, url)
        if not died:
            break
    assert number > 8
    engine.put_back(server.admin, url, "_new", "_old")
    is_as_before(server, url)


@every
def test_putting_back_may_be_killed_too(server: Place, stride: int, monkeypatch: pytest.MonkeyPatch):
    url, engine = prepared(server), server.engine
    for number in itertools.count(2, stride if server.engine.name == "mariadb" else 1):
        engine.swap(server.admin, url, "_new", "_old")
        died = dies(server, number, lambda: engine.put_back(server.admin, url, "_new", "_old"), monkeypatch)
        engine.put_back(server.admin, url, "_new", "_old")
        is_as_before(server, url)
        if not died:
            break
    assert number > 8


def test_what_never_began_is_put_back_without_harm(server: Place):
    url = server.new()
    server.sql(url, *LIVE)
    server.engine.put_back(server.admin, url, "_new", "_old")
    assert list(server.engine.schema(url).tables) == ["posts"]
