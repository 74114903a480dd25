"""kill -9 before every durable step of a cutover: afterwards production has all of the old data or all of the new, by
the address it always had, the request says which, and nothing that was prepared is left.
"""

from __future__ import annotations

import itertools
import re
import subprocess

import pytest
from crash_ground import Mortal, assert_chain
from guest_book import Book, live_book
from support import eventually

SHORT = (
    ("data.postgres._rename", 2),  # the old one is away and the new one not there yet
    ("durable.point", 1),
    ("RefTransaction.commit", 1),
    ("ledger commit in _close", 1),
)


@pytest.fixture
def book(postgres, tmp_path, request) -> Book:
    """A guest book with a preview `next` that has data of its own."""
    server = Mortal()
    request.addfinalizer(server.destroy)
    (server.home / "server.toml").write_text(f'[databases]\npostgres = "{postgres}"\n')
    server.start()
    made = live_book(server, tmp_path, "postgres")
    made.push("HEAD:refs/heads/next")
    return made


@pytest.mark.soak
@pytest.mark.parametrize("at", [SHORT, ()], ids=["short", "all"])
def test_a_cutover(book, postgres, at):
    server, site, mine = book.server, book.site, databases_of(book, postgres)
    url = address(book)
    prepare(book, 0)
    server.die_at(1_000_000)
    assert run(book).returncode == 0
    assert not server.died()
    server.kill_daemon()  # it counts from its start
    labels = [one.partition(" ")[2] for one in server.steps()]
    ends: set[str] = set()
    for number in [nth(labels, *one) for one in at] or itertools.count(1):
        id = prepare(book, number)
        old, new = book.page(), book.page(f"next--{site}")
        assert old != new
        server.die_at(number)
        ran = run(book)
        where = server.steps()[-1:]
        died = server.died()
        if not died:
            server.kill_daemon()
        row = eventually(lambda: settled(book), seconds=60, why=str(where))
        ends.add(row["state"])
        assert row["id"] == id
        assert ran.returncode != 0 or row["state"] == "completed", where
        assert book.page() == (new if row["state"] == "completed" else old), (where, row)
        assert book.page(f"next--{site}") == new
        assert written(url) == (new if row["state"] == "completed" else old).split()[1]
        book.post("note/after")  # production can be written to, wherever its data came from
        assert written(url).endswith(",after")
        if row["state"] == "acked":
            server.cli("cutover", "cancel", site, id)
        if row["state"] == "completed":
            assert server.facts("snapshot", "show", site, f"pre-cutover-{id}")["verified"]
        eventually(lambda: databases_of(book, postgres) == mine, seconds=60, why=str(where))
        assert_chain(server)
        if not died and not at:
            break  # it has more steps than that at no time
    assert {"completed", "failed"} <= ends


def prepare(book: Book, number: int) -> str:
    """Both sides differ, and a cutover is agreed to."""
    book.post(f"note/p{number}")
    book.post(f"note/q{number}", f"next--{book.site}")
    row = book.server.facts("cutover", "request", book.site, "next", "--ticket", "SUP-1")
    book.server.cli("cutover", "ack", book.site, row["id"])
    return row["id"]


def run(book: Book) -> subprocess.CompletedProcess[str]:
    return book.server.cli("cutover", "run", book.site, "next", "--yes", check=False)


def settled(book: Book) -> dict | None:
    row = book.server.facts("cutover", "show", book.site, "next")
    (production,) = (
        one for one in book.server.rows("SELECT * FROM environments WHERE site = ?", book.site)
        if one["name"] == "production"
    )  # fmt: skip
    return row if row["state"] != "in_progress" and production["state"] == "ready" else None


def nth(labels: list[str], label: str, which: int) -> int:
    return [number for number, one in enumerate(labels, 1) if label in one][which - 1]


def databases_of(book: Book, postgres: str) -> list[str]:
    """Those of the site, without those in which snapshots are proven."""
    line = "SELECT datname FROM pg_database ORDER BY 1"
    found = subprocess.run(["psql", postgres, "-AtqXc", line], check=True, capture_output=True, text=True)
    name = book.site.replace("-", "_")
    return [one for one in found.stdout.split() if name in one and "__proof" not in one]


def address(book: Book) -> str:
    """Of production's database. Said backwards: forwards it is masked."""
    line = "python3 -c \"import os; print(os.environ['DATABASE_URL'][::-1])\""
    return book.server.cli("run", book.site, "--", line).stdout.strip()[::-1]


def written(url: str) -> str:
    line = "SELECT text FROM notes ORDER BY id"
    found = subprocess.run(["psql", url, "-AtqXc", line], check=True, capture_output=True, text=True)
    assert re.fullmatch(r"[\w\n]*", found.stdout)
    return ",".join(found.stdout.split())
