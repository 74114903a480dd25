"""The folders of one build: given to the build's user, watched while it runs, checked when it is over.

What a build leaves behind is hostile: a folder may have become a link to somewhere else. Everything here is
done after its last process is gone, and follows no link.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from gitdeploy import process
from gitdeploy.build.sandbox import Place
from gitdeploy.errors import Failed
from gitdeploy.process import Command
from gitdeploy.user import User

MOST_FILES = 2_000_000
_KEPT, _TOOLS = "kept", "tools"


def prepare(work: Path, cache: Path, user: User | None) -> Place:
    """Make the place of a build whose tree is in `work`; `<work>.tmp` beside it is its /tmp.

    The tree becomes the build user's own: none of its files may be shared with anything by a hard link.
    """
    place = Place(work, _of(user, cache / _TOOLS), work.with_name(f"{work.name}.tmp"))
    for folder in (cache, place.cache, place.tmp, place.tmp / "home"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if user is not None:
        _give(work, user)
        for folder in (place.cache, place.tmp, place.tmp / "home"):
            os.chown(folder, user.uid, user.gid)
    return place


def keep_in(place: Place, cache: Path, user: User | None, root: str, folders: Iterable[str]) -> None:
    """Move what earlier builds kept into the tree; what the commit itself holds stays."""
    for folder in folders:
        kept = _of(user, cache / _KEPT) / root / folder
        target = place.work / root / folder
        if _is_folder(cache, kept) and not os.path.lexists(target) and _is_folder(place.work, target.parent):
            with contextlib.suppress(OSError):
                kept.rename(target)


def keep_out(place: Place, cache: Path, user: User | None, root: str, folders: Iterable[str]) -> None:
    """Move the folders to keep out of the tree, in place of what was kept before."""
    for folder in folders:
        source = place.work / root / folder
        kept = _of(user, cache / _KEPT) / root / folder
        if _is_folder(place.work, source):
            kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A rename, so that a build that starts now finds the old folder whole, the new one, or none.
            old = cache / f".old-{secrets.token_hex(6)}"
            with contextlib.suppress(OSError):
                kept.rename(old)
            with contextlib.suppress(OSError):
                source.rename(kept)
            remove(old)


def output(work: Path, root: str, folder: str) -> Path:
    """The folder to publish. Raises Failed when it is not there, is a link, or holds nothing."""
    path = work / root / folder
    said = f"The build left no folder {folder}/" if folder != "." else "The build left nothing"
    hint = "Correct [build] output in gitdeploy.toml, or the command that should write it."
    if not os.path.lexists(path):
        raise Failed(f"{said}.", hint)
    if not _is_folder(work, path):
        raise Failed(f"The build's output {folder} is not a folder of its own but a file or a link.", hint)
    if not any(path.iterdir()):
        raise Failed(f"The build wrote nothing into {folder}/.", hint)
    return path


def remove(path: Path) -> None:
    """Remove a folder however deep and strange it is; links in it are not followed."""
    if os.path.lexists(path):
        process.check(Command(("rm", "-rf", "--one-file-system", "--", str(path))), timeout=3600)


def full(folder: Path) -> bool:
    """Whether no build may begin here: its disk is nearly full."""
    return _space_left(folder) < _reserve(folder)


def disk_watch(folders: Iterable[Path], most: int) -> Callable[[], str]:
    """A watch: `disk` once the folders hold more than `most` bytes, `space` once the disk runs out.

    It looks again no sooner than after twenty times as long as it took, so that it stays cheap on a big tree.
    """
    watched = tuple(folders)
    due = 0.0

    def watch() -> str:
        nonlocal due
        if full(watched[0]):
            return "space"
        if time.monotonic() < due:
            return ""
        started = time.monotonic()
        used = sum(_size(folder, most) for folder in watched)
        due = time.monotonic() + max(0.5, 20 * (time.monotonic() - started))
        return "disk" if used > most else ""

    return watch


def _of(user: User | None, folder: Path) -> Path:
    """What one user's builds kept, another's could not write: each has its own."""
    return folder.with_name(f"{folder.name}-{user.uid if user else os.getuid()}")


def _give(folder: Path, user: User) -> None:
    stack = [folder]
    while stack:
        here = stack.pop()
        os.chown(here, user.uid, user.gid, follow_symlinks=False)
        with os.scandir(here) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    stack.append(Path(entry.path))
                else:
                    os.chown(entry.path, user.uid, user.gid, follow_symlinks=False)


def _is_folder(top: Path, path: Path) -> bool:
    """Whether every step from `top` down to `path` is a real folder and no link."""
    steps = [path, *path.parents]
    below = steps[: steps.index(top)] if top in steps else None
    if below is None:
        return False
    try:
        return all(stat.S_ISDIR(os.lstat(step).st_mode) for step in below)
    except OSError:
        return False


def _size(folder: Path, most: int) -> int:
    """Bytes on disk below a folder that changes meanwhile; counting stops beyond `most`."""
    used, files, stack = 0, 0, [str(folder)]
    while stack and used <= most:
        try:
            with os.scandir(stack.pop()) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    used += status.st_blocks * 512
                    files += 1
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(entry.path)
        except OSError:
            continue
        if files > MOST_FILES:
            return most + 1
    return used


def _space_left(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def _reserve(folder: Path) -> int:
    """What no build may take from the rest of the machine."""
    status = os.statvfs(folder)
    return min(256 * 1024**2, status.f_blocks * status.f_frsize // 20)
