"""What a working folder holds: the files that a commit of it would have, looked at without committing them."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gitdeploy import process
from gitdeploy.domain.tree_path import show
from gitdeploy.errors import Failed, Refused
from gitdeploy.process import Command
from gitdeploy.store.new_file import NewFile


@dataclass(frozen=True)
class WorkingFolder:
    """The files of a folder that a commit of it would hold, each with what tells its versions apart.

    Two are equal when nothing was saved in between. It is read the way `detect` reads a commit.
    """

    top: Path
    files: Mapping[str, tuple[int, ...]]

    def exists(self, path: str) -> bool:
        return path in self.files or path in self._folders

    def read(self, path: str) -> bytes:
        """Nothing where there is none. A link is read as git has it: its target."""
        file = self.top / path
        if path not in self.files:
            return b""
        try:
            return os.fsencode(file.readlink()) if file.is_symlink() else file.read_bytes()
        except OSError as error:
            raise Failed(f"Cannot read {path}: {error.strerror}.") from error

    def list(self, path: str) -> list[str]:
        return sorted(self._folders.get(path, ()))

    def below(self, folder: str) -> Iterator[NewFile]:
        """The files of one folder by their paths in it, without their content."""
        start = "" if folder == "." else f"{folder}/"
        for name, (mode, *_) in self.files.items():
            if name.startswith(start):
                path = os.fsencode(name[len(start) :])
                link = stat.S_ISLNK(mode)
                yield NewFile(path, "link", target=self.read(name)) if link else NewFile(path, "file")

    def copy(self, into: Path) -> None:
        """The files as a checkout would give them."""
        for name, (mode, *_) in self.files.items():
            target = into / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(self.top / name, target, follow_symlinks=False)
                if not stat.S_ISLNK(mode):
                    target.chmod(0o755 if mode & 0o100 else 0o644)
            except FileNotFoundError:
                continue  # removed since it was looked at
            except OSError as error:
                raise Failed(f"Cannot copy {name}: {error.strerror}.") from error

    @cached_property
    def _folders(self) -> dict[str, set[str]]:
        """The names in each folder; the top is `.`."""
        found: dict[str, set[str]] = {".": set()}
        for path in self.files:
            while path:
                above, _, name = path.rpartition("/")
                found.setdefault(above or ".", set()).add(name)
                path = above
        return found


def look(folder: Path) -> WorkingFolder:
    """What `git add --all` would take of a folder that git knows, else everything in it.

    Raises Failed when git cannot say, Refused for a submodule, which a push would refuse.
    """
    if not folder.is_dir():
        raise Failed(f"There is no folder {folder} any more.")
    files = {}
    for name in _names(folder):
        try:
            seen = (folder / name).lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue  # removed since, or not from the index yet
        if stat.S_ISREG(seen.st_mode) or stat.S_ISLNK(seen.st_mode):
            files[name] = (seen.st_mode, seen.st_size, seen.st_mtime_ns, seen.st_ino)
        elif stat.S_ISDIR(seen.st_mode) and not name.endswith("/"):
            raise Refused(
                f"{show(os.fsencode(name))} is a submodule, and gitdeploy does not fetch submodules.",
                "Commit its files, or fetch it in the build command.",
            )
    return WorkingFolder(folder, files)


def _names(folder: Path) -> Iterator[str]:
    """Paths, perhaps of what is not there any more; git names a repository within with a slash after it."""
    git = Command(
        ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"), folder, {"LC_ALL": "C"}
    )
    said = process.run(git)
    if said.code != 0 and b"not a git repository" not in said.err:
        raise Failed(f"Git cannot list {folder}: {said.err.decode(errors='replace').strip()}")
    if said.out:
        yield from (os.fsdecode(name) for name in said.out.split(b"\0")[:-1])
        return
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != ".git"]
        yield from (os.path.relpath(os.path.join(here, name), folder) for name in names)  # noqa: PTH118
        links = [name for name in folders if os.path.islink(os.path.join(here, name))]  # noqa: PTH114, PTH118
        yield from (os.path.relpath(os.path.join(here, name), folder) for name in links)  # noqa: PTH118
