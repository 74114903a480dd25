"""A rollback across a destructive migration, with what the live code declares for it: Django's own way back."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading

import pytest
from django_shop import ANY_DATABASE, DJANGO, DOWN, NOTED, TITLES
from guest_book import live_book
from scenario_support import Shared
from support import GIT_ENV, eventually


@pytest.fixture(scope="module")
def shared(request, postgres):
    one = Shared(settings=f'[databases]\npostgres = "{postgres}"\n')
    request.addfinalizer(one.destroy)
    one.start()
    return one


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A folder with Django in it, to be pushed with the app: so no build has to install it."""
    folder = tmp_path_factory.mktemp("packages") / "all"
    names = ("django", "gunicorn", "psycopg[binary]")
    install = ["python3", "-m", "pip", "install", "-q", "--no-compile", "--only-binary", ":all:"]
    subprocess.run([*install, "--target", str(folder), *names], check=True, capture_output=True, timeout=300)
    for unused in ("gis", "admin", "admindocs", "postgres", "flatpages", "sitemaps"):
        shutil.rmtree(folder / "django/contrib" / unused)
    for translated in folder.glob("django/**/locale/*/"):
        if translated.name != "en":
            shutil.rmtree(translated)
    return folder


@pytest.mark.parametrize("database", [pytest.param("sqlite:shop.db", marks=pytest.mark.soak), "postgres"])
def test_a_rollback_takes_the_schema_back_with_the_live_code_once_that_is_rehearsed(desk, packages, database):
    def bake(name: str) -> str:
        host = {"Host": f"{desk.site}.localhost"}
        page = desk.shared.fetch(desk.shared.edge, "/cakes", method="POST", data=name.encode(), **host)
        assert page.status == 200, page.text
        return page.text

    def cakes() -> str:
        return desk.page(path="/cakes").text

    def down(line: str) -> str:
        return f"release: python3 manage.py migrate\nweb: gunicorn shop.wsgi --bind 127.0.0.1:$PORT\ndown: {line}\n"

    def deploy(subject: str) -> None:
        desk.commit(subject)
        assert (pushed := desk.push("main")).ok, pushed.out

    shutil.copytree(packages, desk.folder / ".packages")
    for path, text in DJANGO.items():
        desk.write(path, "" if path == "requirements.txt" else text)
    desk.write("shop/settings.py", ANY_DATABASE)
    desk.write("gitdeploy.toml", f'[data]\ndatabases = ["{database}"]\n[health]\npath = "/cakes"\n')
    desk.write("shop/migrations/0002_note.py", NOTED)
    note = '    note = models.CharField(max_length=50, default="none", db_default="none")\n'
    desk.write("shop/models.py", DJANGO["shop/models.py"] + note)
    deploy("one")
    bake("apple")
    models, urls = (DJANGO[f"shop/{name}.py"] for name in ("models", "urls"))
    price = "    price = models.IntegerField(default=3, db_default=3)\n"
    desk.write("shop/models.py", models.replace("name =", "title =") + price)
    desk.write(
        "shop/urls.py",
        urls.replace("cake.name for", 'f"{cake.title}:{cake.price}" for').replace("name=", "title="),
    )
    desk.write("shop/migrations/0003_titles.py", TITLES)
    desk.write("Procfile", down("python3 manage.py migrate shop 0001"))
    deploy("two")
    bake("plum")
    refused = desk.push("HEAD:rollback/r1")
    assert not refused.ok and "column shop_cake.name was dropped" in refused.out
    for way in (
        "snapshot restore --code", "Migrate down with `python3 manage.py migrate shop 0001`", "-o force-schema",
    ):  # fmt: skip
        assert way in refused.out, refused.out

    # Declared wrongly it is found out on the copy, and a rehearsal that failed allows nothing.
    wrong = desk.push("-o", "rehearse", "HEAD:rollback/r1")
    assert "left" in wrong.out and "in another shape than r1 knows" in wrong.out, wrong.out
    assert "column shop_cake.note was dropped" in wrong.out
    (failed,) = desk.facts("rehearsals")
    assert failed["state"] == "failed" and cakes() == "apple:3 plum:3"
    assert "failed" in desk.push("-o", f"rehearsal={failed['id']}", "HEAD:rollback/r1").out

    # Declared well it is rehearsed. What was live stays, rows may come.
    desk.write("down.sh", DOWN)
    desk.write("Procfile", down("sh -e down.sh"))
    deploy("three")
    said = desk.push("-o", "rehearse", "HEAD:rollback/r1").out
    assert "Unapplying shop.0003_titles... OK" in said and "the shape of r1" in said, said
    rehearsed = re.search(r"reh_[0-9A-Z]{26}", said)[0]
    found = desk.facts(f"rehearsals/{rehearsed}")
    assert found["state"] == "passed" and found["pause"] >= found["findings"]["seconds"]["down command"] > 0
    assert bake("lemon") == "apple:3 plum:3 lemon:3"

    # For real: whoever is visiting waits, and nothing that was acknowledged is lost.
    stop, kept = threading.Event(), []
    visitor = threading.Thread(
        target=lambda: [kept.append(bake(f"cake{n}")) for n in iter(count(stop), None)]
    )
    visitor.start()
    eventually(lambda: kept, why="nobody bakes")
    done = desk.shared.ask(f"/sites/{desk.site}/rollback", "POST", {"target": "r1", "rehearsal": rehearsed})
    stop.set()
    visitor.join(timeout=60)
    assert (done["release"], done["kind"], done["state"]) == ("r4", "rollback", "live")
    assert cakes().split() == ["apple", "plum", "lemon", *(f"cake{n}" for n in range(len(kept)))]
    assert next(one["mark"] for one in desk.releases if one["release"] == "r3") == "bad"
    taken = {one["cause"]: one for one in desk.facts("snapshots")}
    assert taken["rollback to r1"]["verified"] and "the way down to r1" in taken
    eventually(lambda: any("replaced by r4" in one["cause"] for one in desk.facts("snapshots")), seconds=60,
               why="what was replaced is not captured")  # fmt: skip

    # Its undo is the snapshot with the code of then; what was rehearsed for that is not this any more.
    name = taken["rollback to r1"]["snapshot"]
    desk.shared.cli("snapshot", "restore", "--code", "--yes", desk.site, name)
    assert cakes().startswith("apple:3 plum:3 lemon:3")
    named = desk.shared.cli("rollback", desk.site, "r1", "--yes", "--rehearsal", rehearsed, check=False)
    assert named.returncode == 5 and "what is live was r3 and is r5" in named.stderr, named.stderr


def count(stop: threading.Event):
    """0, 1, 2, … until it stops; then None."""
    numbers = iter(range(1 << 30))
    return lambda: None if stop.is_set() else next(numbers)


BACK = """
last=$(psql "$DATABASE_URL" -Atc "SELECT text FROM notes ORDER BY id DESC LIMIT 1")
if [ -z "$GITDEPLOY_REHEARSAL" ] && [ "$last" = sleep ]; then sleep 600; fi
if [ -z "$GITDEPLOY_REHEARSAL" ] && [ "$last" = write ]; then
    psql "${DATABASE_URL%__new*}" -c "INSERT INTO notes (id, text) VALUES (99, 'beside')"
fi
echo to $GITDEPLOY_DOWN_TO: $(cat $GITDEPLOY_DOWN_CODE/version)
psql "$DATABASE_URL" -c "ALTER TABLE notes ADD COLUMN author VARCHAR(80)"
"""


@pytest.mark.soak
def test_a_down_migration_that_is_killed_or_written_past_changes_nothing(shared, tmp_path):
    book = live_book(shared, tmp_path, "postgres")
    book.write("one", "ALTER TABLE notes ADD COLUMN author VARCHAR(80)")
    book.push("main")
    book.write("two", "ALTER TABLE notes DROP COLUMN author")
    book.project.write("down.sh", BACK)
    book.project.write("Procfile", (book.project.folder / "Procfile").read_text() + "down: sh -e down.sh\n")
    book.project.commit("down")
    book.push("main")
    said = book.project.push("-o", "rehearse", "HEAD:rollback/r2").out
    assert "to r2: one" in said, said
    back = ("-o", f"rehearsal={re.search(r'reh_[0-9A-Z]{26}', said)[0]}", "HEAD:rollback/r2")

    # Somebody writes who is not held: what they wrote would be missing.
    book.post("note/write")
    refused = book.project.push(*back)
    assert not refused.ok and "postgres was written to during the down-migration" in refused.out, refused.out
    assert book.page() == "two write,beside " and book.server.facts("live", book.site)["release"] == "r3"

    # The server is killed while visitors wait for it.
    book.post("note/sleep")
    environment = shared.home / "sites" / book.site / "production"
    pushing = subprocess.Popen(
        ["git", "push", *back[:2], "managed", back[2]], cwd=book.project.folder,
        env={**os.environ, **GIT_ENV}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    eventually(lambda: list(environment.glob("slots/try*/app/.older")), seconds=60, why="it did not begin")
    shared.kill()
    shared.start()
    assert pushing.wait(timeout=60)
    eventually(
        lambda: len(list((environment / "data").iterdir())) == 1, seconds=60, why="what it made is left"
    )
    eventually(lambda: not list(environment.glob("slots/try*")), seconds=60, why="its slot is left")
    assert book.page() == "two write,beside,sleep "
    assert book.server.facts("live", book.site)["release"] == "r3"

    book.post("note/well")
    book.push(*back)
    assert book.page() == "one write,beside,sleep,well "
