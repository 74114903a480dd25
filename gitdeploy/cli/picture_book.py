"""Pictures of a change, side by side on one page that any browser shows from the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from jinja2 import Environment, FileSystemLoader

from gitdeploy import resources
from gitdeploy.cli import screen
from gitdeploy.cli.client import Client


def take(client: Client, site: str, build: str, env: str, folder: Path) -> dict[str, Any]:
    """Have them taken by the server, and put them into `folder`."""
    found: dict[str, Any] = client.follow(
        f"/sites/{site}/pictures", {"target": build, "env": env}, screen.prose
    )
    folder.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(found["pages"]):
        missing = {"added": "live", "removed": "candidate"}.get(one["change"])
        for side in ("live", "candidate"):
            if side != missing:
                content = client.chunks(f"/sites/{site}/pictures/{found['id']}/{number}/{side}")
                (folder / f"{number}-{side}.png").write_bytes(b"".join(content))
    pages = Environment(loader=FileSystemLoader(resources.folder("templates") / "pictures"), autoescape=True)
    (folder / "index.html").write_text(pages.get_template("index.html").render(of=found), "utf-8")
    click.echo(f"pictures: {folder / 'index.html'}", err=True)
    return found
