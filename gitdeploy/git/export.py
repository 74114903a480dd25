"""Taking files out of a repository: a whole tree into a folder, or just what differs between two trees."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dulwich.diff_tree import tree_changes
from dulwich.objects import ObjectID
from dulwich.repo import Repo

from gitdeploy import process
from gitdeploy.errors import Failed, Refused
from gitdeploy.git.repository import Repository

SUBMODULE = 0o160000
LINK = 0o120000
_CHUNK = 1 << 20
_LFS = b"version https://git-lfs.github.com/spec/v1\n"


@dataclass(frozen=True)
class FileAt:
    """A file of a tree: its path, git mode and blob id."""

    path: bytes
    mode: int
    id: str


def checkout(repository: Repository, tree: str, folder: Path) -> None:
    """Write the files of `tree` into the empty `folder`."""
    refuse_what_git_cannot_give(repository, differences(repository, None, tree)[0])
    index = folder.parent / f".{folder.name}.index"
    git = repository.git("--work-tree", str(folder)).with_env({"GIT_INDEX_FILE": str(index)})
    try:
        for words in (("read-tree", tree), ("checkout-index", "--all", "--force", "--quiet")):
            process.check(process.Command((*git.argv, *words), cwd=folder, env=git.env))
    finally:
        index.unlink(missing_ok=True)


def differences(repository: Repository, old: str | None, new: str) -> tuple[list[FileAt], list[bytes]]:
    """What to put and what to remove to come from tree `old` (None: from nothing) to tree `new`.

    Only the folders that differ are read.
    """
    put, removed = [], []
    with Repo(str(repository.path), bare=True) as repo:
        before = ObjectID(old.encode()) if old else None
        for change in tree_changes(repo.object_store, before, ObjectID(new.encode())):
            if change.new is not None and change.new.path is not None and change.new.mode is not None:
                assert change.new.sha is not None
                put.append(FileAt(change.new.path, change.new.mode, change.new.sha.decode()))
            if change.old is not None and change.old.path is not None:
                removed.append(change.old.path)
    kept = {one.path for one in put}
    return put, [path for path in removed if path not in kept]


def refuse_what_git_cannot_give(repository: Repository, files: list[FileAt]) -> None:
    """Submodules and Git LFS pointers would be deployed as empty folders and stubs: say so instead."""
    for one in files:
        if one.mode == SUBMODULE:
            raise Refused(
                f"{_shown(one.path)} is a submodule, and gitdeploy does not fetch submodules.",
                "Commit its files, or fetch it in the build command.",
            )
    attributes = [one for one in files if one.path.split(b"/")[-1] == b".gitattributes"]
    if any(b"filter=lfs" in content for _, content in read_small(repository, attributes, at_most=1 << 20)):
        for one, content in read_small(repository, files, at_most=1024):
            if content.startswith(_LFS):
                raise Refused(
                    f"{_shown(one.path)} is a Git LFS pointer, and gitdeploy does not hold LFS objects.",
                    "Commit the file itself: git lfs migrate export --include='*'",
                )


def read_small(
    repository: Repository, files: list[FileAt], *, at_most: int
) -> Iterator[tuple[FileAt, bytes]]:
    """Each file of at most `at_most` bytes with its content; larger ones are passed over."""
    for one, size, chunks in stream(repository, files):
        if size <= at_most:
            yield one, b"".join(chunks)
        else:
            for _ in chunks:
                pass


def stream(repository: Repository, files: list[FileAt]) -> Iterator[tuple[FileAt, int, Iterator[bytes]]]:
    """Each file with its size and content in chunks, through one `git cat-file`: any size, little memory.

    The chunks must be used up before the next file is asked for.
    """
    if not files:
        return
    command = repository.git("cat-file", "--batch", "--buffer")
    child = process.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None and child.stdout is not None
    feeder = process.feed(child.stdin, b"".join(one.id.encode() + b"\n" for one in files))
    try:
        for one in files:
            head = child.stdout.readline().split()
            if len(head) != 3:
                raise Failed(
                    f"The repository lacks {_shown(one.path)} ({one.id[:12]}).", "Run: git fsck in it."
                )
            size = int(head[2])
            yield one, size, _chunks(child.stdout, size)
            child.stdout.read(1)
    finally:
        child.stdout.close()
        child.kill()
        feeder.join()
        child.wait()


def _chunks(source: IO[bytes], size: int) -> Iterator[bytes]:
    while size:
        chunk = source.read(min(size, _CHUNK))
        if not chunk:
            raise Failed("Git ended in the middle of a file.")
        size -= len(chunk)
        yield chunk


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
