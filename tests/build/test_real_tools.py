"""Real sites built by the real tools, detected as a push would detect them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gitdeploy import process
from gitdeploy.build.detect import detect
from gitdeploy.domain.settings import parse
from gitdeploy.process import Command


class Folder:
    """A tree on disk, as detection reads one."""

    def __init__(self, top: Path) -> None:
        self.top = top

    def exists(self, path: str) -> bool:
        return (self.top / path).exists()

    def read(self, path: str) -> bytes:
        return (self.top / path).read_bytes()

    def list(self, path: str) -> list[str]:
        return [one.name for one in (self.top / path).iterdir()] if (self.top / path).is_dir() else []


def built(bench: Any, toml: str = "", **more: Any) -> Path:
    recipe = detect(Folder(bench.work), parse(toml))
    folder: Path = bench.build(recipe, **more)
    return folder


OFFLINE = "[build]\nnetwork = false\n"


def test_hugo(bench: Any) -> None:
    bench.write(
        {
            "hugo.toml": 'baseURL = "https://example.org/"\ntitle = "Site"\n',
            "content/_index.md": "---\ntitle: Home\n---\nHello *Hugo*\n",
            "layouts/index.html": "<h1>{{ .Title }}</h1>{{ .Content }}\n",
        }
    )
    assert "<em>Hugo</em>" in (built(bench, OFFLINE) / "index.html").read_text()


def test_mkdocs(bench: Any) -> None:
    bench.write({"mkdocs.yml": "site_name: Site\n", "docs/index.md": "# Hello MkDocs\n"})
    assert "Hello MkDocs" in (built(bench, OFFLINE) / "index.html").read_text()


def test_jekyll(bench: Any) -> None:
    bench.write({"_config.yml": "title: Site\n", "index.md": "---\n---\n# Hello {{ site.title }}\n"})
    assert "Hello Site" in (built(bench, OFFLINE) / "index.html").read_text()


def test_a_package_with_a_script_of_its_own(bench: Any) -> None:
    script = "import fs from 'node:fs'; fs.mkdirSync('dist'); fs.writeFileSync('dist/index.html', 'v1')"
    package = {"name": "site", "type": "module", "scripts": {"build": "node build.js --outdir dist"}}
    bench.write({"package.json": json.dumps(package), "build.js": script})
    assert (built(bench, OFFLINE) / "index.html").read_text() == "v1"
    assert "$ npm run build\n" in bench.text


def test_vite_from_the_registry(bench: Any) -> None:
    package = {
        "name": "site",
        "private": True,
        "scripts": {"build": "vite build"},
        "devDependencies": {"vite": "^5.4"},
    }
    bench.write(
        {
            "package.json": json.dumps(package),
            "index.html": '<!doctype html><script type="module" src="/main.js"></script>\n',
            "main.js": "document.title = 'Hello Vite';\n",
        }
    )
    # The registry of this machine, where it has one of its own: the build does not see the machine's npmrc.
    registry = process.check(Command(("npm", "config", "get", "registry"))).text
    toml = '[build]\nenv = ["npm_config_registry"]\n'
    out = built(bench, toml, variables={"npm_config_registry": registry})
    page = (out / "index.html").read_text()
    (asset,) = re.findall(r'src="(/assets/[^"]+\.js)"', page)
    assert "Hello Vite" in (out / asset.lstrip("/")).read_text()
    assert list(bench.top.glob("cache/*/npm/_cacache")), "the next build finds the packages"


@pytest.mark.parametrize("name", ["index.html", "about.html"])
def test_plain_files_are_not_copied(bench: Any, name: str) -> None:
    bench.write({name: "hello"})
    assert built(bench) == bench.work
