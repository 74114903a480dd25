"""Data is exchanged under visitors who never stop coming: they wait, and nothing fails."""

from __future__ import annotations

import contextlib
import re
from functools import partial
from urllib.parse import urlsplit

import pytest
from eras import Bench, Eras, Visitors, transactions, waited
from support import Server, eventually


@pytest.fixture(scope="module")
def machines(postgres, mariadb):
    """Servers by their edge, each with PostgreSQL and MariaDB to make databases in; made when they are asked for."""
    made: dict[str, Server] = {}
    with contextlib.ExitStack() as opened:
        settings = f'[databases]\npostgres = "{postgres}"\nmariadb = "{mariadb}"\n'

        def machine(edge: str) -> Server:
            if edge not in made:
                made[edge] = Server(edge_driver=edge, settings=settings)
                opened.callback(made[edge].destroy)
                made[edge].start()
            return made[edge]

        yield machine


@pytest.mark.parametrize(
    ("edge", "database"),
    [("embedded", "postgres"), pytest.param("caddy", "mariadb", marks=pytest.mark.soak)],
)
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
    assert visitors.saw() == ["one second second", back, "one third third", "two third third", back]
    assert 0 < waited(said) < 20
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
    assert len(eras.databases()) == 1


@pytest.mark.soak
def test_past_the_bound_visitors_get_a_page_until_it_is_over(machines, tmp_path):
    """Code of then takes longer to start than anybody is held."""
    eras = Eras(machines("embedded"), tmp_path, "postgres", health="60s", slow=25)
    name = eras.take()
    eras.project.git("rm", "-q", "slow")
    eras.push("two")
    eras.post("/era/second")
    with Visitors(eras) as visitors:
        eventually(lambda: all(visitors.seen))
        said = eras.restore(name, "--code")
        seen = len(visitors.seen[0])
        eventually(lambda: len(visitors.seen[0]) > seen + 5)
    assert re.search(
        r"paused for 2[5-9]\.[0-9]+ s: [1-9][0-9]* requests dropped, visitors waited [12][0-9]", said
    ), said
    assert visitors.saw() == ["two second second", "one first first"]
    assert visitors.failed and all("One moment please" in one for one in visitors.failed), visitors.failed[:3]


@pytest.mark.soak
def test_the_pause_by_the_size_of_the_database(machines, tmp_path):
    """Prints what was waited for with 23 MB and with 1 GB; `pytest -s` shows it."""
    for scale in (1, 65):
        eras = Eras(machines("embedded"), tmp_path / str(scale), "postgres")
        (name,) = eras.databases()
        Bench(eras.admin, name, scale=scale)
        said = eras.project.push("HEAD:snapshot/production").out
        with Visitors(eras) as visitors:
            pushed = eras.project.push("-o", "reason=why", "HEAD:restore/latest", remote=eras.operator)
            assert pushed.ok, pushed.out
        assert not visitors.failed, visitors.failed[:3]
        print(f"{scale * 16} MB: {waited(said)} s for the snapshot, {waited(pushed.out)} s for the restore")


@pytest.mark.parametrize(
    ("edge", "database"),
    [("embedded", "postgres"), pytest.param("caddy", "mariadb", marks=pytest.mark.soak)],
)
def test_databases_and_files_of_a_snapshot_are_of_one_instant(machines, tmp_path, edge, database):
    """A request writes a file and then a row: none is captured with one of them only."""
    eras = Eras(machines(edge), tmp_path, database)
    pushed = eras.project.push("HEAD:look")
    assert pushed.ok, pushed.out
    with Visitors(eras) as visitors:
        eventually(lambda: len(visitors.kept) > 10)
        said = eras.server.cli("snapshot", "take", eras.site).stderr
        taken = eras.snapshots()[0]
        seen = len(visitors.kept)
        eventually(lambda: len(visitors.kept) > seen + 5)
    assert not visitors.failed, visitors.failed[:5]
    assert 0 <= waited(said) < 2
    # Its worker is not held: what it wrote meanwhile is told of.
    assert taken["newer"] == 1 and "1 files were written after the instant" in said, said
    pushed = eras.project.push("-o", "env=look", f"HEAD:restore/{taken['snapshot']}")
    assert pushed.ok, pushed.out
    assert eras.page("/writes", "look") == f"{_writes(taken, database)} rows, the same files"
    eras.server.cli("scale", eras.site, "worker=0")
    eras.take()
    assert eras.snapshots()[0]["newer"] == 0


@pytest.mark.soak
def test_whoever_writes_from_outside_loses_nothing_that_was_acknowledged(machines, tmp_path):
    """pgbench knows of no pause: while a snapshot is taken, and restored into a preview, it is not even disturbed."""
    eras = Eras(machines("embedded"), tmp_path, "postgres")
    eras.project.push("HEAD:look")
    production, preview = eras.databases()
    at = partial(_at, eras.admin)
    with Bench(eras.admin, production) as bench:
        eventually(lambda: bench.acknowledged)
        taken = eras.take()
        pushed = eras.project.push("-o", "env=look", f"HEAD:restore/{taken}")
        assert pushed.ok, pushed.out
        captured = transactions(at(preview))
        assert not bench.cut_off and not bench.failed, bench.failed
        before = bench.acknowledged
        eventually(lambda: bench.acknowledged > before)
        said = eras.restore(taken)
        goes_on(bench)
    assert not bench.failed, bench.failed
    assert waited(said) < 5 and len(bench.cut_off) <= 1
    # Each acknowledged transaction is in what was replaced or in what is there now. Those of the four that were cut
    # off may have been made without their knowing it.
    replaced = eventually(lambda: eras.replaced(), why="what was replaced is not captured")[0]
    rows = replaced["database"]["postgres"]["tables"]["pgbench_history"]
    made = rows + transactions(at(production)) - captured
    assert 0 <= made - bench.acknowledged <= 4, (rows, captured, made, bench.acknowledged)
    pushed = eras.project.push("-o", "env=look", f"HEAD:restore/{replaced['snapshot']}")
    assert pushed.ok, pushed.out
    assert transactions(at(preview)) == rows


@pytest.mark.parametrize("scale", [1, pytest.param(65, marks=pytest.mark.soak)])
def test_a_cutover_under_pgbench_loses_nothing_and_visitors_only_wait(machines, tmp_path, scale):
    """pgbench is cut off once, comes again and goes on. `pytest -s` shows for how long."""
    eras = Eras(machines("embedded"), tmp_path, "postgres")
    eras.project.push("HEAD:look")
    production, preview = eras.databases()
    at = partial(_at, eras.admin)
    with Bench(eras.admin, production, scale=scale) as bench:
        eventually(lambda: bench.acknowledged)
        pushed = eras.project.push("-o", "env=look", f"HEAD:restore/{eras.take()}")
        assert pushed.ok, pushed.out
        captured = transactions(at(preview))
        assert eras.project.push("-o", "ticket=T-1", "HEAD:cutover/look").ok
        row = eras.server.facts("cutover", "show", eras.site, "look")["id"]
        assert eras.project.push(f"HEAD:approve/{row}", remote=eras.operator).ok
        with Visitors(eras) as visitors:
            eventually(lambda: all(visitors.seen) and len(visitors.kept) > 5)
            done = eras.project.push("HEAD:cutover/look", remote=eras.operator)
            assert done.ok, done.out
            seen = len(visitors.seen[0])
            eventually(lambda: len(visitors.seen[0]) > seen + 5)
        goes_on(bench)
    assert not visitors.failed, visitors.failed[:5]
    assert not bench.failed and len(bench.cut_off) <= 1, bench.failed
    print(f"{scale * 16} MB: visitors {waited(done.out):.2f} s, pgbench {sum(bench.cut_off):.2f} s")
    assert waited(done.out) < 5
    # What was acknowledged is in what was replaced or in what is there now, of pgbench's and of the visitors'.
    replaced = eventually(lambda: eras.replaced(), seconds=120, why="what was replaced is not captured")[0]
    rows = replaced["database"]["postgres"]["tables"]["pgbench_history"]
    made = rows + transactions(at(production)) - captured
    assert 0 <= made - bench.acknowledged <= 4, (rows, captured, made, bench.acknowledged)
    eras.take()
    held = [_writes(one, "postgres") for one in (replaced, eras.snapshots()[0])]
    assert sum(held) == len(visitors.kept), (held, len(visitors.kept))


def goes_on(bench: Bench) -> None:
    """It was cut off, if the exchange was not between two of its runs, and writes again."""
    after = bench.done
    eventually(lambda: bench.done > after + 1, why=str(bench.failed))


def _at(admin: str, database: str) -> str:
    return urlsplit(admin)._replace(path=f"/{database}").geturl()


def _writes(snapshot: dict, database: str) -> int:
    return snapshot["database"][database]["tables"]["writes"]


def _files(eras: Eras, pattern: str) -> int:
    """How many there are in the data folder of what is live."""
    (folder,) = (eras.server.home / "sites" / eras.site / "production/data").iterdir()
    return len(list((folder / "files").glob(pattern)))
