"""kill -9 before every durable step of a clone and of a content promotion: afterwards the target has all of it or none,
what visitors wrote is there, the snapshot is proven, and nothing that was prepared is left.
"""

from __future__ import annotations

import pytest
from content_shop import ENGINES, Shop, live_shop
from crash_ground import Mortal, assert_chain
from support import eventually

SHORT = (
    ('ledger INSERT INTO "moves"', 1),
    ("durable.write_file", -1),  # what is to be done is written down
    ("PostgresSide.commit", 1),
    ("content_files._name", 1),  # the rows have come, and no file
    ("content_files._name", 2),
    ("ledger commit in settle", 1),
)


@pytest.fixture
def shop(tmp_path, request) -> Shop:
    server = Mortal()
    request.addfinalizer(server.destroy)
    database = getattr(request, "param", "postgres")
    if not database.startswith("sqlite"):
        url = request.getfixturevalue(database)
        (server.home / "server.toml").write_text(f'[databases]\n{database} = "{url}"\n')
    server.start()
    return live_shop(server, tmp_path, database)


@pytest.mark.soak
@pytest.mark.parametrize("at", [SHORT, ()], ids=["short", "all"])
def test_a_content_promotion(shop, at):
    assert sweep(shop, "staging", "production", at) >= (len(at) or 25)


@pytest.mark.soak
@pytest.mark.parametrize(
    "shop", [one for one in ENGINES if one != "postgres"], indirect=True, ids=["sqlite", "mariadb"]
)
def test_a_content_promotion_of_other_engines(shop):
    assert sweep(shop, "staging", "production", ()) > 20


@pytest.mark.soak
def test_a_clone(shop):
    assert sweep(shop, "production", "staging", ()) > 20


def sweep(shop: Shop, source: str, target: str, at: tuple[tuple[str, int], ...]) -> int:
    """Kill it at every step, or at those; returns how often it was killed."""
    server, words = shop.server, ("--from", source, "--to", target, "--yes")
    shop.clone("--from", "production", "--to", "staging")
    prepare(shop, source, target, 0)
    server.die_at(1_000_000)
    shop.clone(*words)
    assert not server.died()
    server.kill_daemon()  # it counts from its start
    labels = [one.partition(" ")[2] for one in server.steps()]
    ends: set[str] = set()
    kills = 0
    for number in [nth(labels, *one) for one in at] or range(1, len(labels) + 1):
        prepare(shop, source, target, number)
        old, new = content(shop, target), content(shop, source)
        assert old != new
        written, known = shop.sql(target, "SELECT id FROM form_submissions ORDER BY id"), len(shop.moves())
        server.die_at(number)
        ran = shop.clone(*words, check=False)
        if server.died():
            kills += 1
        else:
            server.kill_daemon()
        why = (number, labels[number - 1])
        eventually(lambda: settled(server, shop, target), seconds=60, why=f"{why} is not settled")
        moves = shop.moves()
        done = len(moves) > known and moves[0]["state"] == "completed"
        ends.add(moves[0]["state"] if len(moves) > known else "not begun")
        assert ran.returncode != 0 or done, (why, ran.stderr)
        assert content(shop, target) == (new if done else old), why
        assert shop.sql(target, "SELECT id FROM form_submissions ORDER BY id") == written, why
        assert not done or shop.snapshot(moves[0]["snapshot"])["verified"], why
        assert not list((server.home / "sites" / shop.site).glob("*/moves/*")), why
        shop.sql(target, f"INSERT INTO form_submissions VALUES ({1000 + number}, 1, 'after')")
        assert_chain(server)
    assert {"completed", "failed"} <= ends
    return kills


def prepare(shop: Shop, source: str, target: str, number: int) -> None:
    """Rows and files that come, change and go; the target is written to where nothing moves."""
    shop.sql(source, f"INSERT INTO posts VALUES ({100 + number}, 1, 'post {number}', 'https://shop.test')",
             f"UPDATE forms SET title = 'form {number}'", f"DELETE FROM posts WHERE id = {99 + number}")  # fmt: skip
    shop.ask(source, write=[(f"uploads/blog/{number}.png", "new"), ("uploads/logo.png", f"logo {number}")])
    before = f"uploads/blog/{number - 1}.png"
    if before in shop.files(source):
        shop.ask(source, remove=[before])
    shop.sql(target, f"INSERT INTO form_submissions VALUES ({5000 + number}, 1, 'hello')")


def content(shop: Shop, env: str) -> tuple[list[str], list[str], dict[str, str]]:
    """But for what is masked and for addresses, which are others everywhere."""
    files = {path: text for path, text in shop.files(env).items() if not path.startswith("uploads/private/")}
    posts = shop.sql(env, "SELECT id, author, title FROM posts ORDER BY id")
    return posts, shop.sql(env, "SELECT * FROM forms ORDER BY id"), files


def settled(server: Mortal, shop: Shop, target: str) -> bool:
    rows = server.rows("SELECT state FROM environments WHERE site = ? AND name = ?", shop.site, target)
    left = server.rows("SELECT id FROM moves WHERE state IN ('prepared', 'moving')")
    return [one["state"] for one in rows] == ["ready"] and not left


def nth(labels: list[str], label: str, which: int) -> int:
    """The number of the which-th step with this label; -1 is the last."""
    found = [number for number, one in enumerate(labels, 1) if label in one]
    return found[which - 1 if which > 0 else which]
