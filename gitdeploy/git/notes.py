"""`refs/notes/deploys`: one JSON line a release, on the commit that was deployed (git-notes(1))."""

from __future__ import annotations

import os
import time
from pathlib import Path

from dulwich.file import FileLocked
from dulwich.notes import Notes
from dulwich.repo import Repo

from gitdeploy.errors import Busy
from gitdeploy.git.repository import Repository

REF = b"refs/notes/deploys"
_WHO = b"gitdeploy <gitdeploy@localhost>"


def append(repository: Repository, commit: str, line: str) -> None:
    """Add `line` to the commit's note, unless it says so already. The caller makes sure that one thread a
    repository does so at a time. Raises Busy when git itself holds the notes for long.
    """
    for patience in (0.05, 0.2, 1.0):
        try:
            return _append(repository, commit.encode(), line.encode())
        except FileLocked as held:
            lock = Path(os.fsdecode(held.lockfilename))
            if repository.path / "objects" in lock.parents:
                lock.unlink(missing_ok=True)  # git locks no object: this one a crash or a full disk has left
            else:
                time.sleep(patience)
        except OSError:
            (repository.path / f"{os.fsdecode(REF)}.lock").unlink(missing_ok=True)  # dulwich leaves it there
            raise
    raise Busy(f"The notes of {repository.path.name} are locked.", "Wait for git gc to end.", again=5)


def read(repository: Repository) -> dict[str, list[str]]:
    """Every deployed commit with its JSON lines, oldest first."""
    with Repo(str(repository.path), bare=True) as repo:
        notes = Notes(repo.object_store, repo.refs)
        found: dict[str, list[str]] = {}
        for commit, _ in notes.list_notes(REF):
            content = notes.get_note(commit, REF) or b""
            found[commit.decode()] = [line.decode("utf-8", "replace") for line in content.splitlines()]
        return found


def _append(repository: Repository, commit: bytes, line: bytes) -> None:
    with Repo(str(repository.path), bare=True) as repo:
        notes = Notes(repo.object_store, repo.refs)
        before = notes.get_note(commit, REF) or b""
        if line not in before.splitlines():
            notes.set_note(commit, before + line + b"\n", REF, _WHO, _WHO, b"deploy " + commit[:12] + b"\n")
