"""Content moves between environments: down masked, up without what visitors wrote, conflicts named, all or nothing."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import databases
import pytest
from support import Project, Server

APP = Path(__file__).with_name("content_app.py")
SETTINGS = """
[data]
databases = ["%s"]
files = ["uploads"]
[environments.staging]
branch = "staging"
[content]
never = ["sessions", "form_submissions", "uploads/private/**"]
[content.groups]
blog = ["posts", "uploads/blog/**"]
[content.mask]
"users.email" = "email"
[content.replace]
"shop.test" = { staging = "staging.shop.test", preview = "{host}" }
"""
SERIALISED = 'a:1:{s:3:"url";s:18:"https://shop.test/";}'
ROWS = (
    "INSERT INTO users VALUES (1, 'Ana', 'ana@mail.test'), (2, 'Bo', 'bo@mail.test')",
    f"INSERT INTO posts VALUES (1, 1, 'one', 'at https://shop.test'), (2, 2, 'two', '{SERIALISED}'), "
    "(3, 1, 'three', '')",
    "INSERT INTO forms VALUES (1, 'Contact')",
    "INSERT INTO form_submissions VALUES (1, 1, 'hello')",
    "INSERT INTO sessions VALUES ('visitor')",
)
FILES = {"uploads/blog/a.png": "a", "uploads/logo.png": "logo", "uploads/private/cv.pdf": "cv"}


@pytest.fixture(scope="module")
def postgres():
    with databases.postgres() as url:
        yield url


@pytest.fixture(scope="module")
def mariadb():
    with databases.mariadb() as url:
        yield url


@pytest.fixture(scope="module")
def machine(postgres, mariadb):
    """One server for all sites of this module, with servers to make databases in."""
    server = Server(settings=f'[databases]\npostgres = "{postgres}"\nmariadb = "{mariadb}"\n')
    server.start()
    yield server
    server.destroy()


class Shop:
    """A site whose production and staging are live."""

    def __init__(self, server: Server, project: Project, site: str) -> None:
        self.server = server
        self.project = project
        self.site = site

    def push(self, *words: str):
        pushed = self.project.push(*words)
        assert pushed.ok, pushed.out
        return pushed

    def refused(self, *words: str) -> str:
        pushed = self.project.push(*words)
        assert not pushed.ok, pushed.out
        return pushed.out

    def ask(self, env: str, **asked: Any) -> Any:
        host = self.site if env == "production" else f"{env}--{self.site}"
        answer = self.server.fetch(
            self.server.edge, "/", method="POST", data=json.dumps(asked).encode(), Host=f"{host}.localhost"
        )
        assert answer.status == 200, answer.text
        return json.loads(answer.body)

    def sql(self, env: str, *lines: str) -> list[str]:
        return self.ask(env, sql=lines)

    def files(self, env: str) -> dict[str, str]:
        return self.ask(env, read=True)

    def clone(self, *words: str, check: bool = True):
        return self.server.cli("clone", self.site, *words, check=check)

    def snapshot(self, name: str) -> dict[str, Any]:
        return self.server.facts("snapshot", "show", self.site, name)

    def moves(self) -> list[dict[str, Any]]:
        return self.server.facts("moves", self.site)


def live_shop(machine: Server, folder: Path, database: str, settings: str = SETTINGS) -> Shop:
    site = f"shop-{secrets.token_hex(4)}"
    machine.cli("site", "create", site)
    project = Project(folder / "project", machine)
    project.git("remote", "add", "managed", machine.remote(site, "maya", "operator"))
    project.write("app.py", APP.read_text())
    project.write("gitdeploy.toml", settings % database)
    project.write("Procfile", "web: exec python3 app.py\nrelease: python3 app.py migrate\n")
    project.commit("first")
    shop = Shop(machine, project, site)
    shop.push("main")
    shop.push("-o", "wait", "HEAD:staging")
    shop.sql("production", *ROWS)
    shop.ask("production", write=list(FILES.items()))
    return shop


@pytest.fixture(params=["sqlite:data/app.db", "postgres", "mariadb"], ids=["sqlite", "postgres", "mariadb"])
def shop(machine, tmp_path, request) -> Shop:
    return live_shop(machine, tmp_path, request.param)


def test_content_goes_down_masked_and_comes_up_without_what_visitors_wrote(shop):
    shop.sql("staging", "INSERT INTO sessions VALUES ('tester')", "INSERT INTO forms VALUES (7, 'old')")
    down = shop.clone("--from", "production", "--to", "staging")
    assert "withheld by [content] never: form_submissions, sessions, uploads/private/cv.pdf" in down.stderr
    assert "is proven" in down.stderr and "undo: gitdeploy snapshot restore" in down.stderr
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
    shop.server.cli("snapshot", "restore", shop.site, up["snapshot"], "--yes")
    assert shop.sql("production", "SELECT title FROM posts ORDER BY id") == ["one", "theirs", "three"]
    assert shop.files("production").keys() == {*FILES, "uploads/theirs.png"}


def test_what_both_changed_is_refused_by_name_until_it_is_to_be_overwritten(shop):
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
