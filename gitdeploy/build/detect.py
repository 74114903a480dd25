"""Which recipe a tree wants: what `gitdeploy.toml` says first, else the tool whose files are found.

The recipe's reason is the sentence a pusher reads: what was found and what follows from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

from gitdeploy.build import detect_node
from gitdeploy.domain import procfile
from gitdeploy.domain.recipe import APP, Argv, Recipe, shell
from gitdeploy.domain.settings import FILE, Settings
from gitdeploy.errors import Invalid

LOOKED_FOR = (
    "a Procfile, a package.json with a build script, Hugo, MkDocs, Jekyll, an .html file at the top, Sphinx"
)
SAY_SO = f'Say in {FILE} how the site is built: [build] command = "make site" and output = "dist".'

_HUGO = ("hugo.toml", "hugo.yaml", "hugo.yml", "hugo.json")
_VENV = ".venv/bin/python"
_PYTHON_PACKAGES = (
    ("python3", "-m", "pip", "install", "--no-compile", "--target", ".packages", "-r", "requirements.txt"),
    shell("python3 -m compileall -qq --invalidation-mode unchecked-hash .packages || true"),
)
"""Compiled apart from pip: by time of change, as pip does it, what is compiled differs at each build and is never
believed, since stored files have other times. What is not for this Python cannot be compiled, and need not be.
"""


class Tree(Protocol):
    """The files of one commit. Paths are relative to the repository, `a/b`; `.` is its top."""

    def exists(self, path: str) -> bool: ...

    def read(self, path: str) -> bytes: ...

    def list(self, path: str) -> Iterable[str]:
        """The names in a folder; nothing where there is none."""
        ...


def with_procfile(tree: Tree, settings: Settings) -> Settings:
    """The settings with what the commit's Procfile names. Raises Invalid with its line."""
    here = _Below(tree, settings.build.root)
    return (
        settings.with_procfile(procfile.parse(here.read("Procfile"))) if here.exists("Procfile") else settings
    )


def detect(tree: Tree, settings: Settings) -> Recipe:
    """What to do with a tree whose settings are complete (`with_procfile`).

    Raises Invalid with what was looked for and the next step.
    """
    build = settings.build
    if not any(True for _ in tree.list(".")):
        raise Invalid(
            "The commit has no files, so there is nothing to publish.", "Commit an index.html and push again."
        )
    if build.root != "." and not any(True for _ in tree.list(build.root)):
        raise Invalid(
            f"{FILE} build/root: there is no folder {build.root} in this commit.", "Correct [build] root."
        )
    here = _Below(tree, build.root)
    recipe = _said(here, settings) or _found(here, settings)
    if recipe is None:
        place = "this commit" if build.root == "." else build.root
        raise Invalid(f"Cannot tell how to build {place}: looked for {LOOKED_FOR}.", SAY_SO)
    if build.output:
        recipe = replace(recipe, output=build.output)
    return replace(
        recipe,
        root=build.root,
        env=build.env,
        cache=build.cache,
        network=build.network,
        timeout=build.timeout,
        memory=build.memory,
        hide=recipe.kind != APP and (not recipe.commands or recipe.output == "."),
    )


class _Below:
    """The same tree seen from one of its folders."""

    def __init__(self, tree: Tree, root: str) -> None:
        self._tree = tree
        self._root = root

    def exists(self, path: str) -> bool:
        return self._tree.exists(self._path(path))

    def read(self, path: str) -> bytes:
        return self._tree.read(self._path(path))

    def list(self, path: str) -> Iterable[str]:
        return self._tree.list(self._path(path))

    def text(self, path: str) -> str:
        return self.read(path).decode("utf-8", errors="replace") if self.exists(path) else ""

    def _path(self, path: str) -> str:
        parts = [part for part in (self._root, path) if part != "."]
        return "/".join(parts) or "."


def _said(tree: _Below, settings: Settings) -> Recipe | None:
    """What [build] decides by itself."""
    build = settings.build
    if build.command:
        commands = (shell(build.command),)
        if settings.processes and not build.output:
            return Recipe(APP, f"[build] command in {FILE}, and processes: an app", commands)
        if not build.output:
            raise Invalid(f"{FILE} build/output: should name the folder that the command writes.", SAY_SO)
        return Recipe("command", f"[build] command in {FILE}, output in {build.output}/", commands)
    if build.output and (build.output == "." or any(True for _ in tree.list(build.output))):
        return Recipe("static", f"[build] output in {FILE}: {build.output}/ of the commit, served as it is")
    return None


def _found(tree: _Below, settings: Settings) -> Recipe | None:
    """The first tool whose files are there. Plain files come late: the sources of a tool may be HTML."""
    app = _app(tree, settings)
    if app is not None:
        return app
    if (node := detect_node.script(tree)) is not None:
        return node.recipe(output=settings.build.output)
    tools: tuple[Callable[[_Below], Recipe | None], ...] = (_hugo, _mkdocs, _jekyll, _static, _sphinx)
    return next((recipe for tool in tools if (recipe := tool(tree)) is not None), None)


def _app(tree: _Below, settings: Settings) -> Recipe | None:
    if not settings.processes:
        return None
    where = "Procfile" if tree.exists("Procfile") else f"[processes] in {FILE}"
    commands = detect_node.app(tree)
    if tree.exists("requirements.txt"):
        commands = (*_PYTHON_PACKAGES, *commands)
    return Recipe(APP, f"{where}: an app with the processes {', '.join(settings.processes)}", commands)


def _hugo(tree: _Below) -> Recipe | None:
    found = next((name for name in _HUGO if tree.exists(name)), "")
    if not found and tree.exists("content") and "baseurl" in tree.text("config.toml").lower():
        found = "config.toml"
    if not found:
        return None
    return Recipe(
        "hugo", f"{found}: Hugo, builds into public/", (("hugo", "--destination", "public"),), "public"
    )


def _mkdocs(tree: _Below) -> Recipe | None:
    found = next((name for name in ("mkdocs.yml", "mkdocs.yaml") if tree.exists(name)), "")
    if not found:
        return None
    install, python = _requirements(tree)
    command = (*python, "mkdocs", "build", "--config-file", found, "--site-dir", "site")
    return Recipe("mkdocs", f"{found}: MkDocs, builds into site/", (*install, command), "site")


def _jekyll(tree: _Below) -> Recipe | None:
    if not tree.exists("_config.yml") or tree.exists(".nojekyll"):
        return None
    build: Argv = ("jekyll", "build", "--destination", "_site")
    commands: tuple[Argv, ...] = (build,)
    if tree.exists("Gemfile"):
        commands = (("bundle", "install"), ("bundle", "exec", *build))
    return Recipe("jekyll", "_config.yml: Jekyll, builds into _site/", commands, "_site")


def _static(tree: _Below) -> Recipe | None:
    pages = sorted(name for name in tree.list(".") if name.endswith((".html", ".htm")))
    if "index.html" in pages:
        return Recipe("static", "index.html at the top: a static site, served as it is")
    if pages:
        return Recipe(
            "static", f"{pages[0]} at the top: a static site, served as it is; it has no index.html"
        )
    return None


def _sphinx(tree: _Below) -> Recipe | None:
    for folder in (".", "docs", "docs/source", "doc"):
        found = "conf.py" if folder == "." else f"{folder}/conf.py"
        if "extensions" in tree.text(found) or "sphinx" in tree.text(found).lower():
            install, python = _requirements(tree, "docs/requirements.txt", "requirements.txt")
            command = (*python, "sphinx", "-b", "html", folder, "_build/html")
            return Recipe(
                "sphinx", f"{found}: Sphinx, builds into _build/html/", (*install, command), "_build/html"
            )
    return None


def _requirements(tree: _Below, *files: str) -> tuple[tuple[Argv, ...], Argv]:
    """The commands that install what a Python tool asks for, and how its modules are then run."""
    found = next(
        (name for name in files or ("requirements.txt", "docs/requirements.txt") if tree.exists(name)), None
    )
    if found is None:
        return (), ("python3", "-m")
    venv = ("python3", "-m", "venv", "--system-site-packages", ".venv")
    return (venv, (_VENV, "-m", "pip", "install", "-r", found)), (_VENV, "-m")
