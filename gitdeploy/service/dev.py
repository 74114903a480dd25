"""A working folder made into a site the way a push would make it: same detection, builder, sandbox and page rules.

What comes out lies in a small home of its own, laid out as docs/serving.md says, so that the edge's own code answers
for it. A site without a build is served from the folder itself, through links to what a push would publish of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gitdeploy.build import builder
from gitdeploy.build.detect import detect, with_procfile
from gitdeploy.build.run import Cancel
from gitdeploy.domain import settings as app_file
from gitdeploy.domain.digest import Digest
from gitdeploy.domain.manifest import Entry, Manifest
from gitdeploy.domain.recipe import APP, Recipe
from gitdeploy.domain.serving import Rules, parse_headers, parse_redirects
from gitdeploy.domain.settings import Static
from gitdeploy.domain.tree_path import TreePath
from gitdeploy.errors import Failed, Invalid, Refused
from gitdeploy.runtime.routes import Routes
from gitdeploy.runtime.slots import Environment
from gitdeploy.service.mishap import plainly
from gitdeploy.service.teller import Teller, Write
from gitdeploy.service.working_folder import WorkingFolder, look
from gitdeploy.store.home import Home
from gitdeploy.store.new_file import NewFile
from gitdeploy.store.output_folder import folder_files

HOST = "localhost"
"""By this name the edge knows the site."""
SHOWN = 40
"""Lines of a failed build's log that are kept to be shown."""

_SCRATCH = "gitdeploy-dev-"
_ANY = Digest.of(b"")  # what the bytes are does not matter here, only which files there are


@dataclass(frozen=True)
class Problem:
    """Why what was saved cannot be shown; `log` is the end of the build's log, line by line."""

    message: str
    hint: str
    log: tuple[str, ...] = ()


class Workshop:
    """Makes a site of `folder` again and again, in a home that `close` removes.

    `shown` names the making that is served, `problem` says why a later one is not.
    """

    def __init__(self, folder: Path, teller: Teller) -> None:
        self.folder = folder.resolve()
        self.home, self._lock = _scratch()
        if os.geteuid() == 0:  # without bubblewrap, root's builds run as a user who has to get in here
            self.home.root.chmod(0o711)
        self.shown = ""
        self.problem: Problem | None = None
        self._site = Environment(self.home, "site", "dev")
        self._teller = teller
        self._seen: WorkingFolder | None = None
        self._linked: tuple[Manifest, Path, Path] | None = None
        self._count = 0
        Routes(self.home).add(HOST, "site", "dev")

    def changed(self) -> bool:
        """Whether the folder has other files, or other versions of them, than when `make` last looked."""
        try:
            return self._seen != look(self.folder)
        except (Failed, Refused, OSError):
            return True  # `make` says what it is

    def make(self, cancel: Cancel) -> None:
        """Build what the folder holds now and serve it; on a problem the site stays as it is.

        Blocks until nothing of the build runs any more. `cancel` ends it as if it had never begun.
        """
        started = time.monotonic()
        tail: deque[str] = deque(maxlen=SHOWN)

        def log(data: bytes) -> None:
            self._teller.raw(data)
            tail.extend(data.decode("utf-8", "replace").splitlines())

        self._count += 1
        place = self.home.work / str(self._count)
        self._seen = None
        try:
            self._seen = look(self.folder)
            files = self._make(self._seen, place, log, cancel)
        except Exception as error:
            shutil.rmtree(place, ignore_errors=True)
            if not cancel.is_set():
                told = plainly(error, f"making a site of {self.folder}")
                self._teller.problem(told.message, told.hint)
                self.problem = Problem(told.message, told.hint, tuple(tail))
        else:
            self.problem = None
            self._teller.done(f"files: {files}, made in {time.monotonic() - started:.1f} s")

    def close(self) -> None:
        shutil.rmtree(self.home.root, ignore_errors=True)
        os.close(self._lock)

    def _make(self, seen: WorkingFolder, place: Path, log: Write, cancel: Cancel) -> int:
        if seen.list(app_file.FILE):
            raise Invalid(f"{app_file.FILE} is a folder, and should be a file.", "Rename it.")
        settings = with_procfile(seen, app_file.parse(seen.read(app_file.FILE)))
        recipe = detect(seen, settings)
        if recipe.kind == APP:
            raise Invalid(
                "This is a program to be started, and gitdeploy dev shows files only.",
                'Say what files to publish: [build] command = "…" and output = "…" in gitdeploy.toml.',
            )
        self._teller.detail(recipe.reason)
        place.mkdir(parents=True)
        if recipe.commands:
            source = place / "source"
            seen.copy(source)
            cache = self.home.cache / "site"
            cache.mkdir(parents=True, exist_ok=True)
            output = builder.build(recipe, source, cache, log, cancel, _variables(recipe))
            found = folder_files(output, inside=source)
        else:
            output = seen.top / recipe.root / recipe.output
            found = seen.below(os.path.normpath(f"{recipe.root}/{recipe.output}"))
        entries = {one.path: _entry(one) for one in found if not recipe.hides(os.fsdecode(one.path))}
        served = Manifest.of(entries).resolved()
        if not served.files:
            raise Failed(
                f"There are no files to serve in {recipe.output}/.",
                f"Check [build] output in {app_file.FILE}.",
            )
        root = self._links(served, output, place / "root") if recipe.hide else output
        self._show(place, root, _rules(output, entries, settings.static))
        return served.files

    def _links(self, served: Manifest, output: Path, root: Path) -> Path:
        """A folder of links to the files of `output` that are served: the last one if it is the same, else `root`."""
        if self._linked is None or self._linked[:2] != (served, output) or not self._linked[2].is_dir():
            root.mkdir()
            for path in map(os.fsdecode, served):
                link = root / path
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(output / path)
            self._linked = served, output, root
        return self._linked[2]

    def _show(self, place: Path, root: Path, rules: Rules) -> None:
        """Switch as a release is switched; then what was shown before is not needed any more."""
        self._site.prepare(place.name, root, rules)
        self._site.point(place.name)
        before, self.shown = self.shown, place.name
        if before:
            shutil.rmtree(self._site.slot_folder(before), ignore_errors=True)
        for old in self.home.work.iterdir():
            if old != place and not root.is_relative_to(old):
                shutil.rmtree(old, ignore_errors=True)


def _scratch() -> tuple[Home, int]:
    """A new home that is locked as long as this process lives, and named only then; those that are not locked any
    more were left by one that was killed, and are removed.
    """
    for old in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
        with contextlib.suppress(OSError):  # in use, or gone meanwhile
            if old.lstat().st_uid == os.geteuid():
                os.close(_locked(old))
                shutil.rmtree(old, ignore_errors=True)
    new = Path(tempfile.mkdtemp(prefix=f".{_SCRATCH}"))
    lock = _locked(new)
    return Home(new.rename(new.with_name(new.name[1:]))), lock


def _locked(folder: Path) -> int:
    """A lock on `folder`, which the kernel frees with the process. Raises OSError when another holds it."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd


def _variables(recipe: Recipe) -> dict[str, str]:
    """What `gitdeploy config` gives a build on the server, the developer's own environment gives it here."""
    return {name: os.environ[name] for name in recipe.env if name in os.environ}


def _entry(file: NewFile) -> Entry:
    return Entry.link(file.target) if file.kind == "link" else Entry(file.kind, _ANY, 0)


def _rules(output: Path, entries: Mapping[TreePath, Entry], static: Static) -> Rules:
    def text(name: str) -> str:
        entry = entries.get(name.encode())
        return "" if entry is None or entry.kind == "link" else (output / name).read_text("utf-8", "replace")

    return Rules(
        redirects=parse_redirects(text("_redirects")),
        headers=parse_headers(text("_headers")),
        spa=static.spa,
        clean_urls=static.clean_urls,
        not_found=static.not_found,
    )
