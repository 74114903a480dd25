"""The documentation and the program say the same."""

from __future__ import annotations

import configparser
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from fastapi import FastAPI

import gitdeploy
from gitdeploy.cli import NOUNS, main
from gitdeploy.domain import options, refs
from gitdeploy.web.api import ROUTES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in [*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
LINK = re.compile(r"(?<!!)\[[^\]\[]*\]\(([^)\s]+)\)")


def commands(context: click.Context):
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            yield from commands(click.Context(command, info_name=name, parent=context))


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def test_the_reference_pages_are_what_the_program_says():
    done = subprocess.run(
        [sys.executable, "scripts/reference.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_helps_and_is_in_the_reference():
    text = page("cli.md")
    for context in commands(click.Context(main, info_name="gitdeploy")):
        path, command = context.command_path, context.command
        assert command.help, f"{path} says nothing about itself"
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"{path} {option.opts[0]} says nothing about itself"
        assert command.hidden or f"\n## {path}\n" in text, f"{path} is not in docs/cli.md"


def test_every_address_of_the_api_is_in_the_reference():
    app = FastAPI()
    app.router.routes += ROUTES
    text = page("api.md")
    found = [(method.upper(), path) for path, said in app.openapi()["paths"].items() for method in said]
    assert found
    for method, path in found:
        assert f"`{method} {path}`" in text


def test_every_push_option_is_explained():
    text = page("refs-and-options.md")
    for flag in options._FLAGS:
        assert f"\n| `{flag}` |" in text
    for name in options._VALUES:
        assert f"\n| `{name}=<" in text


def test_every_command_ref_and_reserved_name_is_explained():
    text = page("refs-and-options.md")
    for verb in refs.ORDERS:
        assert f"\n| `{verb}/<" in text
    for name in refs.RESERVED:
        assert f"`{name}/`" in text
    for prefix in refs.WRITTEN_BY_US:
        assert f"\n| `{prefix}" in text


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    prose = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    for link in LINK.findall(re.sub(r"`[^`\n]*`", "", prose)):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), f"{path.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{path.name}: {link}"


def anchors(path: Path) -> set[str]:
    """How a forge names the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", one.lower()).strip() for one in headings)
    return {one.replace(" ", "-") for one in plain}


def test_the_changelog_begins_with_this_version():
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert re.search(r"^## (\d\S*)", text, re.MULTILINE)[1] == gitdeploy.__version__


def test_the_package_has_the_version_of_the_program():
    said = (ROOT / "pyproject.toml").read_text("utf-8")
    assert re.search(r'^version = "(.*)"$', said, re.MULTILINE)[1] == gitdeploy.__version__


def test_no_file_names_this_machine():
    """Neither where this checkout lies, nor where this machine gets its packages from."""
    private = [*_places(), *_registries()]
    found = []
    for path in _files():
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"{path.relative_to(ROOT)}: {word}" for word in private if word in text]
    assert not found, "\n".join(found)


def _files() -> list[Path]:
    """What git would take into the repository; every file of a checkout without git."""
    done = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True
    )
    names = done.stdout.decode().split("\0")[:-1]
    paths = [ROOT / name for name in names] if done.returncode == 0 else list(ROOT.rglob("*"))
    return [path for path in paths if path.is_file() and ".venv" not in path.parts]


def _places() -> list[str]:
    places = {str(ROOT), str(Path(sys.base_prefix).resolve())}
    return [f"{place}/" for place in places if len(Path(place).parts) > 2 and not place.startswith("/usr")]


def _registries() -> set[str]:
    """The hosts that pip and npm are told of here."""
    told = [
        value
        for name, value in os.environ.items()
        if re.match(r"(PIP|UV|npm_config)_.*(INDEX|registry)", name, re.I)
    ]
    for path in (Path("/etc/pip.conf"), Path.home() / ".config/pip/pip.conf", Path.home() / ".pip/pip.conf"):
        settings = configparser.ConfigParser(interpolation=None)
        settings.read(path)
        told += [value for section in settings.sections() for value in settings[section].values()]
    for path in (Path.home() / ".npmrc", Path("/etc/npmrc")):
        told += path.read_text().splitlines() if path.exists() else []
    return set(re.findall(r"https?://(?:[^/@\s]*@)?([a-z0-9][a-z0-9.-]*\.[a-z0-9.-]+)", " ".join(told)))


def test_every_command_is_found_by_its_name():
    for module, names in NOUNS.items():
        found = importlib.import_module(f"gitdeploy.cli.{module}").COMMANDS
        assert sorted(one.name for one in found) == sorted(names.split()), module
