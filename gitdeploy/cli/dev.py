"""`gitdeploy dev`: a working folder in the browser, before anything is pushed."""

from __future__ import annotations

from pathlib import Path

import click

from gitdeploy.cli import screen


@click.command()
@click.argument(
    "folder", default=".", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="[FOLDER]"
)
@click.option("--listen", default="127.0.0.1:8000", show_default=True, help="Where the site is served.")
def dev(folder: Path, listen: str) -> None:
    """Show FOLDER as gitdeploy would serve it, built anew at every save.

    The browser loads the page again by itself. Nothing is pushed, and no server is needed.
    """
    from gitdeploy.web.dev import serve

    serve(folder, listen, lambda data: screen.prose(data.decode("utf-8", "replace")))


COMMANDS = (dev,)
