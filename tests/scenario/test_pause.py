"""Data is exchanged under visitors who never stop coming: they wait, and nothing fails."""

from __future__ import annotations

import contextlib
import subprocess
import tomllib

import databases
import pytest
from eras import Eras, Visitors, waited
from support import Server, eventually


@pytest.fixture(scope="module")
def machines():
    """Servers by their edge, each with PostgreSQL and MariaDB to make databases in; made when they are asked for."""
    made: dict[str, Server] = {}
    with contextlib.ExitStack() as opened:
        settings = []

        def machine(edge: str) -> Server:
            if not settings:
                postgres, mariadb = (
                    opened.enter_context(one()) for one in (databases.postgres, databases.mariadb)
                )
                settings.append(f'[databases]\npostgres = "{postgres}"\nmariadb = "{mariadb}"\n')
            if edge not in made:
                made[edge] = Server(edge_driver=edge, settings=settings[0])
                opened.callback(made[edge].destroy)
                made[edge].start()
            return made[edge]

        yield machine


@pytest.mark.parametrize(("edge", "database"), [("embedded", "postgres"), ("caddy", "mariadb")])
def test_nobody_fails_while_data_is_restored_and_nobody_sees_a_mixture(machines, tmp_path, edge, database):
    eras = Eras(machines(edge), tmp_path, database)
    name = eras.take()
    eras.post("/era/second")
    with Visitors(eras) as visitors:
        eventually(lambda: all(visitors.seen) and len(visitors.kept) > 5)
        said = eras.restore(name)
        eras.post("/era/third")
        eras.push("two")
        said += eras.restore(name, "--code")
        seen = len(visitors.seen[0])
        eventually(lambda: len(visitors.seen[0]) > seen + 5)
    assert not visitors.failed, visitors.failed[:5]
    back = "one first first"
    assert visitors.saw() in (
        ["one second second", back, "one third third", "two third third", back],
        [
            "one second second",
            back,
            "one third first",
            "one third third",
            "two third third",
            back,
        ],  # by /era itself
    ), visitors.saw()
    assert said.count("0 requests dropped") == 2, said
    print(f"{edge} {database}: {waited(said)} s", visitors.longest)
    # What was acknowledged is in what was replaced or in what is there now; nothing is in neither, or in both.
    eventually(lambda: len(eras.replaced()) == 2, why="what was replaced is not captured")
    eras.take()
    last = eras.snapshots()[0]
    held = [_writes(one, database) for one in (*eras.replaced(), last)]
    assert sum(held) == len(visitors.kept), (held, len(visitors.kept))
    assert _files(eras, "w[0-9]*") == held[-1]
    # No worker of what was replaced has written into what is there now.
    live = eras.server.facts("live", eras.site)["release"]
    eventually(lambda: eras.page("/workers") == f"r1 {live}", why=eras.page("/workers"))


def test_what_fails_in_the_pause_is_put_back_and_nobody_fails(machines, tmp_path):
    """The code finds nothing wrong before it has seen the data that comes."""
    eras = Eras(machines("embedded"), tmp_path, "postgres", patient=True, health="2s")
    eras.post("/era/broken")
    name = eras.take()
    eras.post("/era/second")
    before = eras.server.facts("releases", eras.site)
    with Visitors(eras) as visitors:
        eventually(lambda: all(visitors.seen))
        done = eras.server.cli("snapshot", "restore", eras.site, name, "--yes", check=False)
        assert done.returncode == 1 and "GET /up answered 500" in done.stderr, done.stderr
        seen = len(visitors.seen[0])
        eventually(lambda: len(visitors.seen[0]) > seen + 5)
    assert waited(done.stderr) > 1
    assert not visitors.failed, visitors.failed[:5]
    assert visitors.saw() == ["one second second"]
    assert eras.server.facts("releases", eras.site) == before
    assert _files(eras, "w[0-9]*") == len(visitors.kept)  # in the one data folder that there is
    count = eras.page("/work")
    eventually(lambda: eras.page("/work") != count, why="its worker was not started again")
    assert _databases(eras) == 1


def _writes(snapshot: dict, database: str) -> int:
    return snapshot["database"][database]["tables"]["writes"]


def _files(eras: Eras, pattern: str) -> int:
    """How many there are in the data folder of what is live."""
    (folder,) = (eras.server.home / "sites" / eras.site / "production/data").iterdir()
    return len(list((folder / "files").glob(pattern)))


def _databases(eras: Eras) -> int:
    """How many there are in PostgreSQL for the site."""
    settings = tomllib.loads((eras.server.home / "server.toml").read_text())
    line = f"SELECT count(*) FROM pg_database WHERE datname LIKE 'gd_{eras.site.replace('-', '_')}%'"
    words = ["psql", settings["databases"]["postgres"], "-AtqX", "-c", line]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
