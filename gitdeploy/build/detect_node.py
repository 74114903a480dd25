"""A `package.json` with a build script: what installs its packages and where its output goes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Protocol

from gitdeploy.domain.recipe import Argv, Recipe
from gitdeploy.domain.settings import FILE
from gitdeploy.errors import Invalid

OUTPUTS = {
    "astro": "dist",
    "vite": "dist",
    "parcel": "dist",
    "@vue/cli-service": "dist",
    "react-scripts": "build",
    "@docusaurus/core": "build",
    "@sveltejs/adapter-static": "build",
    "gatsby": "public",
    "hexo": "public",
    "@11ty/eleventy": "_site",
}
"""Package -> the folder its build writes by default. The first that is used decides."""

_SAY_OUTPUT = f'Add to {FILE}: [build] output = "dist" (or whichever folder the script writes).'
_OPTION = re.compile(
    r"(?:--out(?:put)?-?dir(?:ectory)?|--output|--outDir|--dest)[ =]\.?/?([A-Za-z0-9_][\w./-]*)", re.I
)
_FOLDER = re.compile(r"(?<![\w./-])(?:\./)?(dist|build|out|public|_site)(?=[/\s'\";&]|$)")


class _Tree(Protocol):
    def exists(self, path: str) -> bool: ...
    def read(self, path: str) -> bytes: ...
    def text(self, path: str) -> str: ...


@dataclass(frozen=True)
class Script:
    """The build script of a package.json. `output` is "" when nothing says where it writes."""

    tool: str
    commands: tuple[Argv, ...]
    output: str
    why: str = ""

    def recipe(self, *, output: str = "") -> Recipe:
        """Raises Invalid when neither `output` nor the package says where the build writes."""
        folder = output or self.output
        if not folder:
            why = self.why or "package.json has a build script, but nothing says which folder it writes."
            raise Invalid(why, _SAY_OUTPUT)
        tool = f" ({self.tool})" if self.tool else ""
        return Recipe(
            "npm", f"package.json: npm run build{tool}, builds into {folder}/", self.commands, folder
        )


def script(tree: _Tree) -> Script | None:
    """None when there is no package.json with a build script. Raises Invalid when it cannot be read."""
    package = _package(tree)
    line = _table(package, "scripts").get("build")
    if not isinstance(line, str) or not line.strip():
        return None
    tool, output, why = _output(tree, line, _packages(package))
    return Script(tool, app(tree), output, why)


def app(tree: _Tree) -> tuple[Argv, ...]:
    """What makes a program ready to start: its packages, then its build script, as far as there are any.

    Raises Invalid when package.json cannot be read.
    """
    package = _package(tree)
    line = _table(package, "scripts").get("build")
    runner, install = _manager(tree)
    builds = isinstance(line, str) and bool(line.strip())
    return (*((install,) if _packages(package) else ()), *(((runner, "run", "build"),) if builds else ()))


def _packages(package: dict[str, Any]) -> dict[str, Any]:
    return {**_table(package, "dependencies"), **_table(package, "devDependencies")}


def _package(tree: _Tree) -> dict[str, Any]:
    """Empty where there is none."""
    if not tree.exists("package.json"):
        return {}
    try:
        package = json.loads(tree.read("package.json"))
    except (ValueError, RecursionError) as error:
        line = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise Invalid(
            f"package.json{line} should be JSON.", "Correct package.json and push again."
        ) from error
    if not isinstance(package, dict):
        raise Invalid("package.json should be a JSON object.", "Correct package.json and push again.")
    return package


def _table(package: dict[str, Any], name: str) -> dict[str, Any]:
    table = package.get(name)
    return table if isinstance(table, dict) else {}


def _manager(tree: _Tree) -> tuple[str, Argv]:
    """The package manager whose lock file is there, and its exact install."""
    if tree.exists("pnpm-lock.yaml"):
        return "pnpm", ("pnpm", "install", "--frozen-lockfile")
    if tree.exists("yarn.lock"):
        return "yarn", ("yarn", "install", "--frozen-lockfile")
    locked = tree.exists("package-lock.json") or tree.exists("npm-shrinkwrap.json")
    return "npm", ("npm", "ci" if locked else "install", "--no-audit", "--no-fund")


def _output(tree: _Tree, line: str, packages: dict[str, Any]) -> tuple[str, str, str]:
    """(tool, folder, why not): an option of the script, the tool's default, or the one folder it names."""
    if option := _OPTION.search(line):
        return "", option[1].rstrip("/"), ""
    if "next" in packages:
        return _next(tree)
    for package, folder in OUTPUTS.items():
        if package in packages:
            return package, folder, ""
    named = set(_FOLDER.findall(line))
    return ("", named.pop(), "") if len(named) == 1 else ("", "", "")


def _next(tree: _Tree) -> tuple[str, str, str]:
    configs = ("next.config.js", "next.config.mjs", "next.config.cjs", "next.config.ts")
    if any(re.search(r"output['\"]?\s*:\s*['\"]export['\"]", tree.text(name)) for name in configs):
        return "next", "out", ""
    return "next", "", "Next.js without output: 'export' is a server, not a folder of files."
