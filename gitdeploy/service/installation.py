"""Where this program is installed, and another version of it beside: `/opt/gitdeploy` leads to `/opt/gitdeploy-3`.

Each version is a virtual environment of its own and is never written to again, so what still runs from an older one,
such as the keeper of an app, is not changed under it. To switch is to rename a link.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tomllib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

import gitdeploy
from gitdeploy.errors import Failed, Invalid, NotFound, Refused
from gitdeploy.process import Command, Result, run
from gitdeploy.store import durable

_NUMBERED = re.compile(r"(.+)-(\d+)")
_OURS = ("gitdeploy-", "_gitdeploy", "__editable__")
_PIP = ("pip_", "http_proxy", "https_proxy", "no_proxy", "ssl_cert")
_READY = "gitdeploy-version"
"""In a version that is whole: what it calls itself."""


@dataclass(frozen=True)
class Installation:
    """`link` is the name that is asked for, `here` the folder that it leads to, or the same where it is one still.
    `source` is the checkout that it was installed from, None for a wheel; `editable` when it runs from there.
    """

    link: Path
    here: Path
    source: Path | None
    editable: bool

    @classmethod
    def found(cls) -> Installation:
        """That of this very program. Raises Refused where it lies in no virtual environment."""
        if sys.prefix == sys.base_prefix:
            raise Refused(
                f"gitdeploy is not in an environment of its own, but in {sys.prefix}.",
                "Install it with ./install.sh, or upgrade it the way that it was installed.",
            )
        here = Path(os.path.realpath(sys.prefix))
        numbered = _NUMBERED.fullmatch(here.name)
        link = here.with_name(numbered[1]) if numbered else here
        if link != here and link.resolve() != here:
            link = here
        text = metadata.distribution("gitdeploy").read_text("direct_url.json")
        said = json.loads(text) if text else {}
        is_folder = "dir_info" in said
        path = Path(unquote(urlsplit(said["url"]).path)) if is_folder else None
        return cls(link, here, path, bool(said.get("dir_info", {}).get("editable")))

    def others(self) -> list[Path]:
        """Every version beside, oldest first, whole or not."""
        named = ((one, _NUMBERED.fullmatch(one.name)) for one in self.link.parent.iterdir())
        found = [(int(match[2]), one) for one, match in named if match and match[1] == self.link.name]
        return [one for _, one in sorted(found)]

    def build(self, source: Path) -> Path:
        """Install the version in `source` beside this one; what this one has of other packages is taken over, so only
        what is new is fetched. Raises Failed with what pip said.
        """
        for one in self.others():
            if one != self.here and not (one / _READY).exists():
                durable.remove_tree(one)  # an earlier try
        new = self.beside()
        base = getattr(sys, "_base_executable", sys.executable)
        made = Command((base, "-m", "venv", "--without-pip", str(new)))
        _ran(made, "The folder for the new version cannot be made")
        packages = f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
        shutil.copytree(self.here / packages, new / packages, symlinks=True, dirs_exist_ok=True, ignore=_ours)
        python, quiet = str(new / "bin/python"), ("--quiet", "--no-input", "--disable-pip-version-check")
        told = {name: value for name, value in os.environ.items() if name.lower().startswith(_PIP)}
        pip = Command((python, "-m", "pip", "install", *quiet, str(source)), env=told)
        _ran(pip, "pip could not install the new version")
        says = Command((python, "-m", "gitdeploy", "--version"), cwd=Path("/"))
        version = _ran(says, "The new version does not run")
        durable.sync_filesystem(new)
        durable.write_file(new / _READY, version.text.encode())
        return new

    def beside(self) -> Path:
        last = [int(one.name.rpartition("-")[2]) for one in self.others()]
        return self.link.with_name(f"{self.link.name}-{max(last, default=0) + 1}")

    def point(self, version: Path) -> Path:
        """Have the link lead to this version, by one rename. Returns where the one before is then."""
        if self.link.is_symlink():
            before = self.link.resolve()
            durable.point(self.link, version.name)
            return before
        durable.write_file(self.link / _READY, gitdeploy.__version__.encode())
        before = self.first
        if before.is_symlink():  # an earlier try
            before.unlink()
        before.symlink_to(version.name)
        durable.exchange(before, self.link)
        durable.sync_folder(self.link.parent)
        return before

    @property
    def first(self) -> Path:
        """Where a version goes that lay under the name itself."""
        return self.link.with_name(f"{self.link.name}-0")

    def remove_old(self, *keep: Path) -> None:
        """Those that nobody asks for any more and nothing runs from."""
        used = _running()
        for one in self.others():
            if one not in keep and not any(f"{one}/" in line for line in used):
                durable.remove_tree(one)


def version_of(source: Path) -> str:
    """Of a checkout or a wheel. Raises NotFound, Invalid."""
    if source.suffix == ".whl" and source.is_file():
        name, version = source.name.split("-")[:2]
    else:
        try:
            said = tomllib.loads((source / "pyproject.toml").read_text("utf-8"))["project"]
            name, version = said["name"], said["version"]
        except OSError as error:
            raise NotFound(f"{source} is neither a checkout nor a wheel.", "Name one with --from.") from error
        except (tomllib.TOMLDecodeError, KeyError) as error:
            raise Invalid(
                f"{source}/pyproject.toml cannot be read: {error}.", "Name another with --from."
            ) from None
    if name != "gitdeploy":
        raise Invalid(f"{source} is {name}, not gitdeploy.", "Name another with --from.")
    return str(version)


# Private


def _ours(_: str, names: list[str]) -> list[str]:
    """What is not taken over: this program, however it was installed, and what Python makes by itself."""
    return [one for one in names if one in ("__pycache__", "gitdeploy") or one.startswith(_OURS)]


def _ran(command: Command, said: str) -> Result:
    done = run(command, timeout=1800)
    if done.code != 0:
        last = (done.err or done.out).decode(errors="replace").strip().splitlines()[-1:]
        raise Failed(f"{said}: {last[0] if last else f'exit {done.code}'}", "Nothing has changed.")
    return done


def _running() -> list[str]:
    found = []
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(one.read_bytes().decode(errors="replace").replace("\0", " "))
        except OSError:
            continue
    return found
