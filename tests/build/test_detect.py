from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from gitdeploy.build.detect import detect, with_procfile
from gitdeploy.domain.recipe import Recipe
from gitdeploy.domain.settings import Settings, parse
from gitdeploy.errors import Invalid


@dataclass
class Files:
    """A tree in memory, as detection reads one."""

    files: Mapping[str, bytes]

    def exists(self, path: str) -> bool:
        return path == "." or any(name == path or name.startswith(f"{path}/") for name in self.files)

    def read(self, path: str) -> bytes:
        return self.files[path]

    def list(self, path: str) -> Iterable[str]:
        prefix = "" if path == "." else f"{path}/"
        return sorted({name[len(prefix) :].split("/")[0] for name in self.files if name.startswith(prefix)})


def found(*names: str, toml: str = "", **files: str | bytes) -> Recipe:
    """Detect in a tree of empty files `names` and of `files`."""
    written = {name: text.encode() if isinstance(text, str) else text for name, text in files.items()}
    tree = Files({**dict.fromkeys(names, b""), **written})
    return detect(tree, with_procfile(tree, parse(toml)))


def refused(*names: str, toml: str = "", **files: str | bytes) -> Invalid:
    with pytest.raises(Invalid) as error:
        found(*names, toml=toml, **files)
    assert error.value.hint
    return error.value


def package(script: str = "", **more: Any) -> dict[str, str]:
    return {"package.json": json.dumps({"scripts": {"build": script} if script else {}, **more})}


def test_plain_pages() -> None:
    recipe = found("index.html", "style.css", ".env", "README.md")
    assert (recipe.kind, recipe.output, recipe.commands, recipe.hide) == ("static", ".", (), True)
    assert recipe.reason == "index.html at the top: a static site, served as it is"
    assert "it has no index.html" in found("about.html").reason


@pytest.mark.parametrize(
    ("files", "kind", "output", "command"),
    [
        ({"hugo.toml": ""}, "hugo", "public", "hugo --destination public"),
        ({"config.toml": 'baseURL = "/"', "content/a.md": ""}, "hugo", "public", "hugo --destination public"),
        ({"_config.yml": "", "index.html": ""}, "jekyll", "_site", "jekyll build --destination _site"),
        (
            {"_config.yml": "", "Gemfile": ""},
            "jekyll",
            "_site",
            "bundle exec jekyll build --destination _site",
        ),
        (
            {"mkdocs.yml": "", "index.html": ""},
            "mkdocs",
            "site",
            "python3 -m mkdocs build --config-file mkdocs.yml --site-dir site",
        ),
        (
            {"mkdocs.yml": "", "requirements.txt": "mkdocs"},
            "mkdocs",
            "site",
            ".venv/bin/python -m mkdocs build --config-file mkdocs.yml --site-dir site",
        ),
        (
            {"docs/conf.py": "extensions = []", "setup.py": ""},
            "sphinx",
            "_build/html",
            "python3 -m sphinx -b html docs _build/html",
        ),
        ({"conf.py": "# Sphinx"}, "sphinx", "_build/html", "python3 -m sphinx -b html . _build/html"),
    ],
)
def test_tools(files: dict[str, str], kind: str, output: str, command: str) -> None:
    recipe = found(**files)
    assert (recipe.kind, recipe.output, " ".join(recipe.commands[-1])) == (kind, output, command)
    assert recipe.reason.endswith(f"builds into {output}/")
    assert not recipe.hide


def test_a_config_toml_alone_is_not_hugo_and_a_nojekyll_is_not_jekyll() -> None:
    assert found("index.html", **{"config.toml": "a = 1"}).kind == "static"
    assert found("index.html", "_config.yml", ".nojekyll").kind == "static"


@pytest.mark.parametrize(
    ("packages", "script", "output"),
    [
        ({"vite": "^5"}, "vite build", "dist"),
        ({"vite": "^5"}, "vite build --outDir ./www/", "www"),
        ({"astro": "1", "vite": "1"}, "astro build", "dist"),
        ({"react-scripts": "5"}, "react-scripts build", "build"),
        ({"@11ty/eleventy": "2"}, "eleventy", "_site"),
        ({"gatsby": "5"}, "gatsby build", "public"),
        ({}, "mkdir -p dist && cp src/* dist/", "dist"),
        ({}, "esbuild a.js --outdir=www", "www"),
    ],
)
def test_where_a_package_builds_to(packages: dict[str, str], script: str, output: str) -> None:
    recipe = found("index.html", **package(script, devDependencies=packages))
    assert (recipe.kind, recipe.output) == ("npm", output)
    assert recipe.commands[-1] == ("npm", "run", "build")
    assert len(recipe.commands) == (2 if packages else 1)


@pytest.mark.parametrize(
    ("lock", "install"),
    [
        ("package-lock.json", "npm ci --no-audit --no-fund"),
        ("README", "npm install --no-audit --no-fund"),
        ("yarn.lock", "yarn install --frozen-lockfile"),
        ("pnpm-lock.yaml", "pnpm install --frozen-lockfile"),
    ],
)
def test_the_lock_file_decides_the_install(lock: str, install: str) -> None:
    assert " ".join(found(lock, **package("vite build", dependencies={"vite": "5"})).commands[0]) == install


def test_a_package_whose_output_is_unknown_is_refused_until_it_is_said() -> None:
    error = refused(**package("node build.js"))
    assert error.message == "package.json has a build script, but nothing says which folder it writes."
    assert '[build] output = "dist"' in error.hint
    assert found(toml='[build]\noutput = "www"', **package("node build.js")).output == "www"


def test_next_is_a_site_only_when_it_is_exported() -> None:
    files = package("next build", dependencies={"next": "14"})
    assert "is a server" in refused(**files).message
    assert found(**files, **{"next.config.mjs": "export default { output: 'export' }"}).output == "out"


def test_a_package_without_a_build_script_is_no_tool() -> None:
    assert found("index.html", **package()).kind == "static"
    assert found("index.html", **{"package.json": '{"scripts": []}'}).kind == "static"


@pytest.mark.parametrize(
    ("text", "said"), [('{\n"a": }', "package.json:2 should"), ("[]", "package.json should")]
)
def test_a_broken_package_is_refused(text: str, said: str) -> None:
    assert refused("index.html", **{"package.json": text}).message.startswith(said)


def test_a_procfile_makes_an_app() -> None:
    recipe = found("requirements.txt", "index.html", ".env", Procfile="web: gunicorn app:app\nworker: w\n")
    assert (recipe.kind, recipe.output, recipe.hide) == ("app", ".", False)
    assert recipe.reason == "Procfile: an app with the processes web, worker"
    assert "requirements.txt" in recipe.commands[0]
    assert found(Procfile="web: x").commands == ()
    assert found("app.py", toml='[processes]\nweb = "x"').reason.startswith("[processes] in gitdeploy.toml")


def test_an_app_gets_the_packages_of_both_languages_and_what_its_script_builds() -> None:
    web = {"Procfile": "web: node server.js"}
    parts = {"dependencies": {"express": "*"}}
    assert found(**web, **package()).commands == ()
    assert found(**web, **package(**parts)).commands == (("npm", "install", "--no-audit", "--no-fund"),)
    assert found(**web, **package("tsc")).commands == (("npm", "run", "build"),)
    both = found("requirements.txt", **web, **package("tsc", **parts)).commands
    begin = [" ".join(one)[:11] for one in both]
    assert begin == ["python3 -m ", "sh -c pytho", "npm install", "npm run bui"]


def test_a_broken_procfile_is_refused_with_its_line() -> None:
    assert refused(Procfile="web: a\nb").message.startswith("Procfile:2 ")


def test_a_command_wins_over_everything() -> None:
    recipe = found("index.html", "mkdocs.yml", toml='[build]\ncommand = "make  $X"\noutput = "w"')
    assert (recipe.kind, recipe.commands, recipe.output) == ("command", (("sh", "-c", "make  $X"),), "w")
    assert "build/output" in refused("index.html", toml='[build]\ncommand = "make"').message


def test_an_output_alone_publishes_that_folder_of_the_tree() -> None:
    recipe = found("mkdocs.yml", "www/index.html", toml='[build]\noutput = "www"')
    assert (recipe.kind, recipe.commands, recipe.output, recipe.hide) == ("static", (), "www", True)


def test_an_output_that_is_not_in_the_tree_is_where_the_detected_tool_builds_to() -> None:
    assert found("mkdocs.yml", toml='[build]\noutput = "www"').output == "www"


def test_root_is_where_the_site_is_looked_for() -> None:
    recipe = found("index.html", "apps/web/hugo.toml", toml='[build]\nroot = "apps/web"')
    assert (recipe.kind, recipe.root) == ("hugo", "apps/web")
    assert "no folder nowhere" in refused("index.html", toml='[build]\nroot = "nowhere"').message


def test_the_limits_come_from_the_settings() -> None:
    toml = '[build]\ntimeout = "5m"\nmemory = "1GB"\nnetwork = false\nenv = ["A"]\ncache = ["c"]'
    recipe = found("hugo.toml", toml=toml)
    assert (recipe.timeout, recipe.memory, recipe.network) == (300, 1 << 30, False)
    assert (recipe.env, recipe.cache) == (("A",), ("c",))


def test_what_cannot_be_built_is_refused_with_what_was_looked_for() -> None:
    error = refused("main.c", "Makefile")
    assert "looked for a Procfile" in error.message and "[build] command" in error.hint
    with pytest.raises(Invalid, match="has no files"):
        detect(Files({}), Settings())
