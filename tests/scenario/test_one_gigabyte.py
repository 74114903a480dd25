"""A blog of 1 GB, of posts, media, forms, sessions and analytics, through all that moves data.

`pytest -s` shows how long visitors waited.
"""

from __future__ import annotations

import re
import threading
import time

import databases
import pytest
from content_shop import SETTINGS, Shop, live_shop
from support import Server

SIZES = {"posts": 340_000, "analytics": 1_500_000, "form_submissions": 20_000, "sessions": 20_000}
MEDIA, MEDIUM = 200, 1 << 20
CHUNK = 20_000
TEXT = {
    "postgres": "(SELECT string_agg(md5(random()::text || g || i), '') FROM generate_series(1, 64) g)",
    "sqlite": "lower(hex(randomblob(1024)))",
}
ROWS = {
    "posts": "INSERT INTO posts SELECT i, 1, 'post ' || i, {text} FROM n",
    "analytics": "INSERT INTO analytics SELECT i, '/post/' || (i % 5000), 'a visitor with a browser ' || i FROM n",
    "form_submissions": "INSERT INTO form_submissions SELECT i, 1, 'said ' || i FROM n",
    "sessions": "INSERT INTO sessions SELECT 'session ' || i FROM n",
}


@pytest.fixture(scope="module")
def machine():
    with databases.postgres() as postgres:
        server = Server(settings=f'[databases]\npostgres = "{postgres}"\n')
        server.start()
        yield server
        server.destroy()


def filled(machine: Server, folder, database: str) -> Shop:
    settings = SETTINGS.replace('data = "clone"', 'data = "none"').replace(
        '"sessions", ', '"sessions", "analytics", '
    )
    shop = live_shop(machine, folder, database, settings)
    shop.project.patience = 1800
    for env in ("production", "staging"):
        shop.sql(env, "CREATE TABLE analytics (id INTEGER PRIMARY KEY, path VARCHAR(80), seen VARCHAR(80))")
    text = TEXT[database.partition(":")[0]]
    for table, rows in SIZES.items():
        for begin in range(100, rows, CHUNK):
            numbers = f"SELECT {begin} UNION ALL SELECT i + 1 FROM n WHERE i < {begin + CHUNK - 1}"
            line = f"WITH RECURSIVE n(i) AS ({numbers}) {ROWS[table].format(text=text)}"
            shop.sql("production", line)
    piece = "0123456789abcdef" * (MEDIUM // 16 - 1)
    for number in range(MEDIA):
        shop.ask("production", write=[(f"uploads/blog/{number}.jpg", f"{number:16}{piece}")])
    return shop


class Visitor:
    """Asks again and again; what is not answered is counted."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.longest, self.failed = 0.0, 0

    def __enter__(self) -> Visitor:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._over.wait(0.02):
            begin = time.monotonic()
            try:
                self.failed += self._shop.server.get(self._shop.site).status != 200
            except OSError:
                self.failed += 1
            self.longest = max(self.longest, time.monotonic() - begin)


@pytest.mark.soak
@pytest.mark.parametrize("database", ["postgres", "sqlite:data/app.db"])
def test_a_gigabyte_goes_through_every_verb(machine, tmp_path, database):
    shop = filled(machine, tmp_path, database)

    def does(what: str, *words: str) -> str:
        began = time.monotonic()
        with Visitor(shop) as visitor:
            said = shop.push(*words).out
        took = time.monotonic() - began
        paused = re.findall(r"paused for ([0-9.]+) s: ([0-9]+) requests dropped", said)
        print(f"{database} {what}: {took:.0f} s, paused {[float(one) for one, _ in paused]} s, "
              f"a visitor waited {visitor.longest:.2f} s, {visitor.failed} turned away")  # fmt: skip
        assert not visitor.failed and all(dropped == "0" for _, dropped in paused), said
        return said

    does("snapshot", "-o", "reason=full", "HEAD:snapshot/production")
    size = shop.snapshot("full")["bytes"]
    assert size > 0.9e9, size
    print(f"{database}: {size / 1e6:.0f} MB")
    shop.sql("production", "UPDATE posts SET title = 'lost' WHERE id = 1000")
    does("restore", "-o", "reason=back", "HEAD:restore/full")
    assert shop.sql("production", "SELECT title FROM posts WHERE id = 1000") == ["post 1000"]
    does("clone down", "HEAD:clone/production/staging")
    assert shop.sql("staging", "SELECT count(*) FROM analytics") == ["0"]
    shop.sql("staging", "UPDATE posts SET title = 'new' WHERE id < 2000", "DELETE FROM posts WHERE id = 2500")
    shop.ask("staging", write=[("uploads/blog/new.jpg", "new")], remove=["uploads/blog/7.jpg"])
    does("content up", "-o", "reason=signed off", "HEAD:clone/staging/production")
    assert shop.sql("production", "SELECT count(*) FROM posts WHERE title = 'new'") == ["1903"]
    shop.push("HEAD:refs/heads/next")
    does("restore into a preview", "-o", "env=next", "HEAD:restore/full")
    does("request", "-o", "ticket=T-1", "HEAD:cutover/next")
    row = shop.server.facts("cutover", "show", shop.site, "next")["id"]
    shop.push(f"HEAD:approve/{row}")
    does("cutover", "HEAD:cutover/next")
    assert shop.sql("production", "SELECT count(*) FROM posts WHERE title = 'new'") == ["0"]
    shop.server.cli("site", "remove", shop.site, "--yes")
