"""Content moves between environments: down masked, up without what visitors wrote, conflicts named, all or nothing."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import tempfile
import threading
import urllib.parse
from pathlib import Path

import psycopg
import pymysql
import pytest
from content_shop import ENGINES, FILES, SERIALISED, SETTINGS, Shop, live_shop
from support import Server, eventually

from gitdeploy.data.engine import MARKS


@pytest.fixture(scope="module")
def machine(postgres, mariadb):
    """One server for all sites of this module, with servers to make databases in."""
    server = Server(settings=f'[databases]\npostgres = "{postgres}"\nmariadb = "{mariadb}"\n')
    server.start()
    yield server
    server.destroy()


def engines(ordinary: str) -> list[object]:
    """The ordinary run has one of them; between them, its tests have all."""
    others = [one for one in ENGINES if one != ordinary]
    return [pytest.param(one, id=one.partition(":")[0], marks=pytest.mark.soak if one in others else ())
            for one in (ordinary, *others)]  # fmt: skip


@pytest.fixture(params=engines("postgres"))
def shop(machine, tmp_path, request) -> Shop:
    return live_shop(machine, tmp_path, request.param)


def test_content_goes_down_masked_and_comes_up_without_what_visitors_wrote(shop):
    shop.sql("staging", "INSERT INTO sessions VALUES ('tester')", "INSERT INTO forms VALUES (7, 'old')")
    down = shop.clone("--from", "production", "--to", "staging")
    assert "withheld by [content] never: form_submissions, sessions, uploads/private/cv.pdf" in down.stderr
    assert "is proven" in down.stderr and "undo: gitdeploy clone" in down.stderr
    address = SERIALISED.replace("s:18", "s:26").replace("shop.test", "staging.shop.test")
    assert shop.sql("staging", "SELECT * FROM posts ORDER BY id") == [
        "1|1|one|at https://staging.shop.test", f"2|2|two|{address}", "3|1|three|",
    ]  # fmt: skip
    assert shop.sql("staging", "SELECT id, name FROM users ORDER BY id") == ["1|Ana", "2|Bo"]
    assert all(one.endswith("@example.invalid") for one in shop.sql("staging", "SELECT email FROM users"))
    assert shop.sql("staging", "SELECT * FROM forms") == ["1|Contact"]
    assert shop.sql("staging", "SELECT * FROM form_submissions") == []
    assert shop.sql("staging", "SELECT * FROM sessions") == ["tester"]
    assert shop.files("staging") == {"uploads/blog/a.png": "a", "uploads/logo.png": "logo"}

    # Two weeks pass: both are worked on.
    shop.sql("staging", "UPDATE posts SET title = 'new', body = 'at https://staging.shop.test/x' WHERE id = 1",
             "INSERT INTO users VALUES (3, 'Cy', 'cy@mail.test')", "INSERT INTO posts VALUES (4, 3, 'four', '')",
             "DELETE FROM posts WHERE id = 3", "INSERT INTO form_submissions VALUES (9, 1, 'a test')")  # fmt: skip
    shop.ask("staging", write=[("uploads/blog/b.png", "b"), ("uploads/private/test.pdf", "test")],
             remove=["uploads/logo.png"])  # fmt: skip
    shop.sql("production", "INSERT INTO form_submissions VALUES (2, 1, 'again')", "INSERT INTO sessions VALUES ('new')",
             "UPDATE posts SET title = 'theirs' WHERE id = 2", "INSERT INTO forms VALUES (2, 'Order')")  # fmt: skip
    shop.ask("production", write=[("uploads/theirs.png", "theirs")])

    before = shop.sql("production", "SELECT * FROM posts ORDER BY id")
    assert "say that you mean it" in shop.refused("HEAD:clone/staging/production").lower()
    dry = json.loads(shop.clone("--from", "staging", "--to", "production", "--dry-run", "--json").stdout)
    assert dry["rows"] == {"added": 2, "changed": 1, "removed": 1} and dry["conflicts"] == []
    assert dry["files"] == {"added": 1, "changed": 0, "removed": 1}
    assert dry["groups"][0]["name"] == "blog" and dry["groups"][0]["tables"]["posts"]["changed"] == 1
    assert dry["groups"][0]["files"]["paths"]["added"] == ["uploads/blog/b.png"]
    assert set(dry["kept"]) == {"posts id=2", "forms id=2", "uploads/theirs.png"}
    said = shop.refused("-o", "dry-run", "HEAD:clone/staging/production")
    assert "blog: posts 1 added, 1 changed, 1 removed; files 1 added" in said and "dry run" in said
    assert shop.sql("production", "SELECT * FROM posts ORDER BY id") == before

    said = shop.push("-o", "reason=signed off", "HEAD:refs/clone/staging/production").out
    assert "stays as production has it, which has changed it since: " in said and "posts id=2" in said
    assert (
        len(re.findall(r"paused for .*: 0 requests dropped", said)) == 2
    )  # for the snapshot, and for the move
    assert shop.sql("production", "SELECT * FROM posts ORDER BY id") == [
        "1|1|new|at https://shop.test/x", f"2|2|theirs|{SERIALISED}", "4|3|four|",
    ]  # fmt: skip
    assert shop.sql("production", "SELECT * FROM users ORDER BY id") == [
        "1|Ana|ana@mail.test", "2|Bo|bo@mail.test", "3|Cy|cy@mail.test",
    ]  # fmt: skip
    assert shop.sql("production", "SELECT id FROM form_submissions ORDER BY id") == ["1", "2"]
    assert shop.sql("production", "SELECT id FROM sessions ORDER BY id") == ["new", "visitor"]
    assert shop.sql("production", "SELECT id FROM forms ORDER BY id") == ["1", "2"]
    assert shop.files("production") == {
        "uploads/blog/a.png": "a", "uploads/blog/b.png": "b", "uploads/private/cv.pdf": "cv",
        "uploads/theirs.png": "theirs",
    }  # fmt: skip
    up, first = shop.moves()
    assert (up["from"], up["to"], up["state"]) == ("staging", "production", "completed")
    assert up["reason"] == "signed off"
    assert (first["from"], first["to"], first["state"]) == ("production", "staging", "completed")
    safety = shop.snapshot(up["snapshot"])
    assert safety["env"] == "production" and safety["verified"]["rows"] == 11
    event = next(one for one in shop.server.facts("events") if one["action"] == "content.moved")
    assert event["subject"] == up["id"] and event["data"]["snapshot"] == up["snapshot"]

    # Nothing is left to do, and the next round starts from here.
    assert json.loads(shop.clone("--from", "staging", "--to", "production", "--dry-run", "--json").stdout)["rows"] == {
        "added": 0, "changed": 0, "removed": 0,
    }  # fmt: skip
    shop.sql("production", "INSERT INTO sessions VALUES ('later')")
    undo = re.search(r"undo: gitdeploy clone \S+ (.*)", said)[1]
    shop.clone(*undo.split())
    back = ["one", "theirs", "three"], {*FILES, "uploads/theirs.png"}
    assert (
        shop.sql("production", "SELECT title FROM posts ORDER BY id"),
        {*shop.files("production")},
    ) == back
    assert "later" in shop.sql("production", "SELECT id FROM sessions")
    again = json.loads(shop.clone("--from", "staging", "--to", "production", "--yes", "--json").stdout)
    assert again["rows"] == {"added": 2, "changed": 1, "removed": 1} and "posts id=2" in again["kept"]
    shop.server.cli("snapshot", "restore", shop.site, again["snapshot"], "--yes")
    assert (
        shop.sql("production", "SELECT title FROM posts ORDER BY id"),
        {*shop.files("production")},
    ) == back
    dry = json.loads(shop.clone("--from", "staging", "--to", "production", "--dry-run", "--json").stdout)
    assert (dry["rows"], dry["conflicts"]) == (again["rows"], [])


def test_what_both_changed_is_refused_by_name_until_it_is_to_be_overwritten(machine, tmp_path):
    shop = live_shop(machine, tmp_path, "sqlite:data/app.db")
    shop.clone("--from", "production", "--to", "staging")
    shop.sql("staging", "UPDATE posts SET title = 'mine' WHERE id = 1", "UPDATE forms SET title = 'mine'")
    shop.ask("staging", write=[("uploads/logo.png", "mine")])
    shop.sql("production", "UPDATE posts SET title = 'theirs' WHERE id = 1")
    shop.ask("production", write=[("uploads/logo.png", "theirs")])
    refused = shop.clone("--from", "staging", "--to", "production", "--yes", check=False)
    assert refused.returncode == 5
    assert "production has changed these too: posts id=1, uploads/logo.png." in refused.stderr
    assert shop.sql("production", "SELECT title FROM forms") == ["Contact"]
    assert len(shop.server.facts("snapshot", "list", shop.site)) == 1  # of staging: it was refused before
    shop.clone("--from", "staging", "--to", "production", "--only", "table:forms", "--yes")
    assert shop.sql("production", "SELECT title FROM forms") == ["mine"]
    assert shop.sql("production", "SELECT title FROM posts WHERE id = 1") == ["theirs"]
    assert shop.files("production")["uploads/logo.png"] == "theirs"
    shop.clone("--from", "staging", "--to", "production", "--files", "--overwrite", "--yes")
    assert shop.files("production")["uploads/logo.png"] == "mine"
    shop.push("-o", "only=blog", "-o", "overwrite", "-o", "reason=ours", "HEAD:clone/staging/production")
    assert shop.sql("production", "SELECT title FROM posts WHERE id = 1") == ["mine"]


@pytest.mark.parametrize("database", engines(ENGINES[0])[:2])
def test_a_move_is_rehearsed_on_a_copy_and_held_to_it(machine, postgres, tmp_path, database):
    shop = live_shop(machine, tmp_path, database, SETTINGS + '[production]\nrehearse = ["clone"]\n')
    shop.clone("--from", "production", "--to", "staging")
    shop.sql("staging", "UPDATE posts SET title = 'new' WHERE id = 1", "DELETE FROM posts WHERE id = 3")
    shop.ask("staging", write=[("uploads/blog/b.png", "b")])
    up = ("--from", "staging", "--to", "production")
    before = in_server(postgres), shop.sql("production", "SELECT title FROM posts ORDER BY id")
    refused = shop.clone(*up, "--yes", check=False)
    assert refused.returncode == 5 and "asks for every clone to be rehearsed first" in refused.stderr
    said = shop.refused("-o", "rehearse", "HEAD:clone/staging/production")
    assert "nothing was changed" in said and "posts 3 -> 2" in said and "healthy in" in said, said
    assert "the clone of staging in production is rehearsed" in said
    found = shop.server.facts("rehearsal", "show", shop.site, re.search(r"reh_[0-9A-Z]{26}", said)[0])
    assert found["findings"]["content"]["rows"] == {"added": 0, "changed": 1, "removed": 1}
    assert found["findings"]["content"]["files"] == {"added": 1, "changed": 0, "removed": 0}
    took = found["findings"]["seconds"]
    assert found["pause"] == took["move"] and "compared" in took  # which visitors would not wait for
    eventually(
        lambda: in_server(postgres) == before[0], why="copies are left"
    )  # a snapshot may just be proven
    assert shop.sql("production", "SELECT title FROM posts ORDER BY id") == before[1]
    assert "uploads/blog/b.png" not in shop.files("production")
    # What visitors write makes it no staler; what staging would send does, and so do other rules.
    shop.sql("production", "INSERT INTO form_submissions VALUES (2, 1, 'again')")
    shop.sql("staging", "UPDATE posts SET title = 'newer' WHERE id = 1")
    refused = shop.clone(*up, "--yes", "--rehearsal", found["id"], check=False)
    assert refused.returncode == 5 and f"staging's {database}/posts was 2 rows" in refused.stderr
    refused = shop.clone(*up, "--only", "blog", "--yes", "--rehearsal", found["id"], check=False)
    assert refused.returncode == 5 and "what moves was" in refused.stderr
    again = json.loads(shop.clone(*up, "--rehearse", "--json").stdout)
    shop.push("-o", f"rehearsal={again['id']}", "-o", "reason=tried", "HEAD:clone/staging/production")
    assert shop.sql("production", "SELECT title FROM posts ORDER BY id") == ["newer", "two"]
    assert shop.files("production")["uploads/blog/b.png"] == "b"


@pytest.mark.parametrize("database", engines("mariadb"))
def test_a_new_preview_starts_with_production_masked_and_takes_its_databases_with_it(
    machine, postgres, mariadb, tmp_path, database
):
    shop = live_shop(machine, tmp_path, database, staging=False)
    admin = {"postgres": postgres, "mariadb": mariadb}.get(database, "")
    before = in_server(admin)
    said = shop.push("HEAD:refs/heads/new/look").out
    assert "withheld by [content] never: form_submissions, sessions, uploads/private/cv.pdf" in said
    preview = "new-look"
    host = f"{preview}--{shop.site}.localhost:{shop.server.edge.rpartition(':')[2]}"
    address = SERIALISED.replace("s:18", f"s:{18 - len('shop.test') + len(host)}").replace("shop.test", host)
    assert shop.sql(preview, "SELECT body FROM posts ORDER BY id") == [f"at https://{host}", address, ""]
    emails = shop.sql(preview, "SELECT email FROM users")
    assert len(emails) == 2 and all(one.endswith("@example.invalid") for one in emails)
    assert shop.sql(preview, "SELECT count(*) FROM form_submissions") == ["0"]
    assert shop.files(preview) == {"uploads/blog/a.png": "a", "uploads/logo.png": "logo"}
    assert shop.moves()[0]["to"] == "new/look" and shop.moves()[0]["from"] == "production"
    # It is filled once; what went down masked is not seen as changed.
    shop.sql(preview, "DELETE FROM forms", "UPDATE posts SET title = 'mine' WHERE id = 3")
    shop.project.write("more", "x")
    shop.project.commit("more")
    shop.push("HEAD:refs/heads/new/look")
    assert shop.sql(preview, "SELECT count(*) FROM forms") == ["0"]
    dry = json.loads(shop.clone("--from", "new/look", "--to", "production", "--dry-run", "--json").stdout)
    assert dry["rows"] == {"added": 0, "changed": 1, "removed": 1} and dry["conflicts"] == []
    assert "holds personal data masked: users.email" in shop.refused("HEAD:cutover/new/look")
    if admin:
        assert len(in_server(admin)[0] - before[0]) == 1
    home = shop.server.home / "sites" / shop.site
    assert [one.name for one in (home / "new-look/data").iterdir()] == ["1"]
    shop.push(":refs/heads/new/look")
    assert in_server(admin) == before
    assert not (home / "new-look").exists()
    shop.server.cli("site", "remove", shop.site, "--yes")
    assert not {one for names in in_server(admin) for one in names if shop.site.replace("-", "_") in one}


def in_server(admin: str) -> tuple[set[str], set[str]]:
    """The databases and the roles of a server."""
    url = urllib.parse.urlsplit(admin)
    if url.scheme == "mysql":
        password = urllib.parse.unquote(url.password)
        with contextlib.closing(
            pymysql.connect(host=url.hostname, port=url.port, user=url.username, password=password)
        ) as connection, connection.cursor() as cursor:  # fmt: skip
            cursor.execute("SHOW DATABASES")
            databases = {name for (name,) in cursor.fetchall()}
            cursor.execute("SELECT user FROM mysql.user")
            return databases, {name for (name,) in cursor.fetchall()}
    if url.scheme == "postgresql":
        with psycopg.connect(admin) as connection:
            databases = connection.execute("SELECT datname FROM pg_database").fetchall()
            roles = connection.execute("SELECT rolname FROM pg_roles").fetchall()
            return {name for (name,) in databases}, {name for (name,) in roles}
    return set(), set()


def test_a_preview_that_cannot_be_masked_does_not_start(machine, tmp_path):
    settings = SETTINGS.replace('data = "clone"', 'data = "golden"')
    shop = live_shop(machine, tmp_path, "postgres", settings, staging=False)
    said = shop.push("HEAD:refs/heads/look").out
    assert "has no snapshot 'golden'" in said and shop.server.get(f"look--{shop.site}").status == 404
    shop.push("-o", "reason=golden", "HEAD:snapshot/production")
    shop.sql("production", "DELETE FROM posts")
    shop.push("HEAD:refs/heads/look2")
    assert shop.sql("look2", "SELECT title FROM posts ORDER BY id") == ["one", "two", "three"]
    assert all(one.endswith("@example.invalid") for one in shop.sql("look2", "SELECT email FROM users"))
    # What was filled stays as it is when the release after it fails.
    good = (shop.project.folder / "Procfile").read_text()
    for procfile in ("web: exec python3 app.py\nrelease: false\n", good):
        shop.project.write("Procfile", procfile)
        shop.project.commit("look4")
        shop.push("HEAD:refs/heads/look4")
    assert shop.sql("look4", "SELECT title FROM posts ORDER BY id") == ["one", "two", "three"]
    assert [one["to"] for one in shop.moves()] == ["look4", "look2"]
    shop.project.write("gitdeploy.toml", (settings % "postgres").replace('"users.email"', '"users.emial"'))
    shop.project.commit("a typo")
    shop.push("main")
    said = shop.push("HEAD:refs/heads/look3").out
    assert "There is no column users.emial to mask." in said
    assert shop.server.get(f"look3--{shop.site}").status == 404
    assert [one["state"] for one in shop.moves()] == ["failed", "completed", "completed"]
    developer = machine.remote(shop.site, "dev", "developer")
    refused = shop.project.run("push", "-o", "env=look2", developer, "HEAD:restore/golden").out
    assert "may not have production's personal data in look2" in refused


def test_who_may_move_what_where(machine, tmp_path):
    settings = SETTINGS.replace('never = ["sessions", "form_submissions", "uploads/private/**"]', "")
    shop = live_shop(machine, tmp_path, "sqlite:data/app.db", settings)
    shop.push("HEAD:refs/heads/a/b")
    developer, maintainer = (machine.remote(shop.site, one[:3], one) for one in ("developer", "maintainer"))

    def said(remote: str, *words: str) -> str:
        return shop.project.run("push", *words[:-1], remote, words[-1]).out

    assert "needs maintainer" in said(developer, "HEAD:clone/production/staging")
    assert "needs operator" in said(maintainer, "-o", "reason=x", "HEAD:clone/staging/production")
    assert "content of production is in a/b" in said(developer, "HEAD:clone/production/a/b")
    assert "does not name two environments" in said(maintainer, "HEAD:clone/production/a/c")
    assert "both are production" in shop.refused("-o", "reason=x", "HEAD:clone/production/production")
    assert "is for clone/<from>/<to> alone" in said(maintainer, "-o", "only=blog", "HEAD:rollback/previous")
    assert "Did you mean blog" in said(maintainer, "-o", "only=blgo", "HEAD:clone/production/staging")
    refused = shop.clone("--from", "staging", "--to", "production", "--yes", check=False)
    assert refused.returncode == 5 and "does not say what may never move into production" in refused.stderr
    assert shop.clone("--from", "nowhere", "--to", "staging", check=False).returncode == 3
    # Nobody knows what production has changed: what is new goes, what would be lost does not.
    shop.sql("staging", "INSERT INTO forms VALUES (5, 'new')")
    dry = shop.clone("--from", "staging", "--to", "production", "--only", "table:forms", "--dry-run")
    assert "nobody knows what production has changed itself" in dry.stderr
    assert "changed in production too: forms id=1" in dry.stderr
    refused = shop.clone(
        "--from", "staging", "--to", "production", "--only", "table:forms", "--yes", check=False
    )
    assert refused.returncode == 5 and shop.sql("production", "SELECT id FROM forms") == ["1"]
    shop.clone("--from", "staging", "--to", "production", "--only", "table:forms", "--overwrite", "--yes")
    assert shop.sql("production", "SELECT id FROM forms") == ["5"]


@pytest.mark.soak
def test_past_the_bound_of_a_move_visitors_get_a_page_and_nobody_reads_a_mixture(machine, postgres, tmp_path):
    shop = live_shop(machine, tmp_path, "postgres")
    shop.clone("--from", "production", "--to", "staging")
    shop.clone("--from", "staging", "--to", "production", "--yes")
    shop.sql("staging", "UPDATE posts SET title = 'new' WHERE id = 1")
    name = next(one for one in in_server(postgres)[0] if f"{shop.site}_production".replace("-", "_") in one)
    pages: list[tuple[int, str]] = []
    over = threading.Event()

    def visit() -> None:
        while not over.wait(0.2):
            page = machine.fetch(
                machine.edge, "/", method="POST", data=b'{"sql": ["SELECT title FROM posts WHERE id = 1"]}',
                Host=f"{shop.site}.localhost",
            )  # fmt: skip
            pages.append((page.status, page.headers.get("retry-after", "") or page.text))

    url = urllib.parse.urlsplit(postgres)._replace(path=f"/{name}").geturl()
    visitor = threading.Thread(target=visit)
    with psycopg.connect(url) as slow:
        slow.execute(f"LOCK TABLE {MARKS}")  # the last that is written
        moving = threading.Thread(
            target=shop.clone, args=("--from", "staging", "--to", "production", "--yes")
        )
        visitor.start()
        moving.start()
        eventually(lambda: any(status == 503 for status, _ in pages), seconds=60, why="nobody gets a page")
    moving.join(timeout=60)
    eventually(lambda: pages[-1] == (200, '["new"]'), why=str(pages[-3:]))
    over.set()
    visitor.join(timeout=60)
    seen = list(dict.fromkeys(pages))
    assert [status for status, _ in seen] == [200, 503, 200] and int(seen[1][1]) > 0, seen


def test_two_environments_with_one_database_are_refused(machine, tmp_path):
    shop = live_shop(machine, tmp_path, "postgres")
    masked = "printenv DATABASE_URL | rev"  # what is said plainly is not shown
    url = shop.server.cli("run", shop.site, "--", "sh", "-c", masked).stdout.strip()[::-1]
    assert url.startswith("postgresql://")
    for one in (url, url.replace("127.0.0.1", "localhost")):
        shop.server.cli("config", "set", shop.site, "--env", "staging", "--secret", f"DATABASE_URL={one}")
        refused = shop.clone("--from", "production", "--to", "staging", check=False)
        assert refused.returncode == 5 and "have the same database postgres" in refused.stderr, refused.stderr
        assert "Give each one of its own, or move --files" in refused.stderr
    assert shop.sql("production", "SELECT count(*) FROM posts") == ["3"]
    shop.clone("--from", "production", "--to", "staging", "--files")
    assert "uploads/logo.png" in shop.files("staging")


def test_planted_links_lead_nowhere(machine, tmp_path):
    shop = live_shop(machine, tmp_path, "sqlite:data/app.db")
    outside = Path(tempfile.mkdtemp(dir="/tmp"))
    outside.chmod(0o777)
    (outside / "secret").write_text("secret")
    (outside / "secret").chmod(0o644)
    shop.clone("--from", "production", "--to", "staging")
    data = [
        shop.server.home / "sites" / shop.site / env / "data/1/uploads" for env in ("staging", "production")
    ]
    (data[0] / "evil").symlink_to(outside / "secret")
    (data[0] / "folder").symlink_to(outside)
    said = shop.clone("--from", "staging", "--to", "production", "--yes").stderr
    assert "links, which never move: uploads/evil, uploads/folder" in said
    assert not {"evil", "folder"} & {one.name for one in data[1].iterdir()}
    # Where production's folder was, a link leads out now: what would come is refused, and lands nowhere.
    shop.ask("staging", write=[("uploads/blog/new.png", "new")])
    (data[1] / "blog").rename(data[1] / "was")
    (data[1] / "blog").symlink_to(outside)
    refused = shop.clone("--from", "staging", "--to", "production", "--overwrite", "--yes", check=False)
    assert refused.returncode == 5 and "uploads/blog of production is in the way" in refused.stderr
    assert [one.name for one in outside.iterdir()] == ["secret"]
    shutil.rmtree(outside)


@pytest.mark.parametrize("database", engines(ENGINES[0]))
def test_what_visitors_write_meanwhile_is_not_lost(machine, tmp_path, database):
    shop = live_shop(machine, tmp_path, database)
    shop.clone("--from", "production", "--to", "staging")
    many = ", ".join(
        f"({number}, 1, 'post {number}', 'https://staging.shop.test')" for number in range(10, 2000)
    )
    shop.sql("staging", f"INSERT INTO posts VALUES {many}")
    written: list[int] = []
    failed: list[str] = []
    over = threading.Event()

    def visit() -> None:
        while not over.is_set():
            number = 100 + len(written) + len(failed)
            try:
                shop.sql("production", f"INSERT INTO form_submissions VALUES ({number}, 1, 'x')")
                written.append(number)
            except Exception as error:
                failed.append(repr(error))

    visitor = threading.Thread(target=visit)
    visitor.start()
    try:
        eventually(lambda: len(written) > 3)
        shop.push("-o", "reason=now", "HEAD:clone/staging/production")
        since = len(written)
        eventually(lambda: len(written) > since + 3)
    finally:
        over.set()
        visitor.join()
    assert not failed
    found = shop.sql("production", "SELECT id FROM form_submissions WHERE id >= 100 ORDER BY id")
    assert found == [str(number) for number in written]
    assert shop.sql("production", "SELECT count(*) FROM posts") == ["1993"]
