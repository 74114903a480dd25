"""A guest book that is live: notes in a database, pictures in a folder (data_app.py)."""

from __future__ import annotations

import secrets
from pathlib import Path

from support import Project, Server

APP = Path(__file__).with_name("scenario") / "data_app.py"
SETTINGS = '[data]\ndatabases = ["%s"]\nfiles = ["uploads"]\n'


class Book:
    def __init__(self, server: Server, project: Project, site: str) -> None:
        self.server = server
        self.project = project
        self.site = site

    def write(self, version: str, *migrations: str) -> None:
        self.project.write("version", version)
        self.project.write("migrations", "\n".join(migrations))
        self.project.commit(version)

    def push(self, *words: str):
        pushed = self.project.push(*words)
        assert pushed.ok, pushed.out
        return pushed

    def post(self, what: str, host: str = "") -> None:
        host = f"{host or self.site}.localhost"
        page = self.server.fetch(self.server.edge, f"/{what}", method="POST", data=b"", Host=host)
        assert page.text == "kept"

    def page(self, host: str = "") -> str:
        page = self.server.get(host or self.site)
        assert page.status == 200, page.text
        return page.text


def live_book(machine: Server, folder: Path, database: str, settings: str = "") -> Book:
    site = f"book-{secrets.token_hex(4)}"
    machine.cli("site", "create", site)
    project = Project(folder / "project", machine)
    project.git("remote", "add", "managed", machine.remote(site, "maya", "maintainer"))
    project.write("app.py", APP.read_text())
    project.write("gitdeploy.toml", SETTINGS % database + settings)
    project.write("Procfile", "web: exec python3 app.py\nrelease: python3 app.py migrate\n")
    made = Book(machine, project, site)
    made.write("one")
    made.push("main")
    return made
