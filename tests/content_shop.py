"""A site with content, and with what visitors write, live in production and in staging."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from support import Project, Server

APP = Path(__file__).with_name("content_app.py")
SETTINGS = """
[data]
databases = ["%s"]
files = ["uploads"]
[environments.staging]
branch = "staging"
[preview]
data = "clone"
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
ENGINES = ["sqlite:data/app.db", "postgres", "mariadb"]
FILES = {"uploads/blog/a.png": "a", "uploads/logo.png": "logo", "uploads/private/cv.pdf": "cv"}


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


def live_shop(
    machine: Server, folder: Path, database: str, settings: str = SETTINGS, *, staging: bool = True
) -> Shop:
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
    if staging:
        shop.push("HEAD:staging")
    shop.sql("production", *ROWS)
    shop.ask("production", write=list(FILES.items()))
    return shop
