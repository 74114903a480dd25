"""Short ways to make what the tests of the store need."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from gitdeploy.domain.digest import Digest
from gitdeploy.domain.manifest import Manifest
from gitdeploy.domain.statement import Statement
from gitdeploy.store.artifacts import Store
from gitdeploy.store.home import Home
from gitdeploy.store.publish import NewFile, Published

TREE = "b" * 40


def file(path: str, text: str | bytes = "", *, executable: bool = False) -> NewFile:
    content = text.encode() if isinstance(text, str) else text
    return NewFile(path.encode(), "exec" if executable else "file", (content,))


def link(path: str, target: str) -> NewFile:
    return NewFile(path.encode(), "link", target=target.encode())


def publish(store: Store, files: Mapping[str, str | bytes]) -> Published:
    return store.publish_whole([file(path, text) for path, text in files.items()], like=None)


def statement(
    artifact: Digest, build_id: str = "bld_1", *, site: str = "blog", tree: str = TREE
) -> Statement:
    return Statement(
        site=site,
        artifact=artifact,
        build_id=build_id,
        builder="gitdeploy/1",
        commit="a" * 40,
        tree=tree,
        recipe={"kind": "static"},
        settings={"health": {"path": "/"}},
        started_on="2025-01-01T00:00:00.000Z",
        finished_on="2025-01-01T00:00:01.000Z",
    )


def sealed(store: Store, files: Mapping[str, str | bytes], build_id: str = "bld_1") -> Manifest:
    """A published and signed artifact."""
    with publish(store, files) as published:
        store.attest(statement(published.manifest.root, build_id))
    return published.manifest


def blob(home: Home, manifest: Manifest, path: str) -> Path:
    digest = manifest[path.encode()].digest
    return home.store / "blobs" / digest[:2] / digest


def flip(path: Path, *, keep_time: bool = True) -> None:
    """Change one byte of a file in place, as a failing disk would: size, time and inode stay."""
    found = path.stat()
    fd = os.open(path, os.O_RDWR)
    first = os.pread(fd, 1, 0)
    os.pwrite(fd, bytes([first[0] ^ 1]), 0)
    os.close(fd)
    if keep_time:
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def served(folder: Path) -> dict[str, bytes]:
    """What a web server would find below a folder, links followed."""
    found: dict[str, bytes] = {}
    for one in folder.iterdir():
        if one.is_dir():
            found |= {f"{one.name}/{path}": content for path, content in served(one).items()}
        else:
            found[one.name] = one.read_bytes()
    return found


def stored_names(home: Home) -> set[str]:
    """The names of all blobs."""
    return {one.name for one in (home.store / "blobs").glob("*/*")}


def names(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()}
