"""What a program runs from is a real folder, exactly the artifact, and nothing can be written to it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gitdeploy.domain.digest import Digest
from gitdeploy.domain.manifest import Manifest
from gitdeploy.domain.tree import Entry
from gitdeploy.errors import NotProven
from gitdeploy.store import durable, layout
from gitdeploy.store.blobs import Blobs, mtime


def stored(
    folder: Path,
    files: dict[str, bytes],
    *,
    executable: tuple[str, ...] = (),
    links: dict[str, str] | None = None,
):
    blobs = Blobs(folder / "blobs")
    entries = {}
    for name, content in files.items():
        digest = Digest.of(content)
        path = Path(blobs.path(digest))
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(content)
            path.chmod(0o444)
            os.utime(path, (mtime(digest), mtime(digest)))
        entries[name.encode()] = Entry("exec" if name in executable else "file", digest, len(content))
    entries |= {name.encode(): Entry.link(target.encode()) for name, target in (links or {}).items()}
    return blobs, Manifest.of(entries)


FILES = {"app.py": b"print(1)", "bin/run": b"#!/bin/sh\necho ran\n", "a/b/c.txt": b"", "a/same": b"print(1)"}


def test_it_is_the_artifact_with_its_modes_and_links(tmp_path: Path) -> None:
    blobs, manifest = stored(
        tmp_path, FILES, executable=("bin/run",), links={"latest": "a/b", "a/up": "../app.py"}
    )
    folder = tmp_path / "layouts" / "one"
    layout.lay_out(blobs, manifest, folder)
    assert {path: (folder / path).read_bytes() for path in FILES} == FILES
    assert os.readlink(folder / "latest") == "a/b" and (folder / "a/up").read_bytes() == b"print(1)"  # noqa: PTH115
    assert (folder / "app.py").stat().st_ino == Path(blobs.path(Digest.of(b"print(1)"))).stat().st_ino
    modes = {
        stat.S_IMODE(path.lstat().st_mode) for path in [folder, *folder.rglob("*")] if not path.is_symlink()
    }
    assert modes == {0o444, 0o555}
    assert stat.S_IMODE(Path(blobs.path(Digest.of(FILES["bin/run"]))).stat().st_mode) == 0o444
    assert os.access(folder / "bin/run", os.X_OK) and not (folder / "a").is_symlink()


def test_one_that_is_right_is_left_alone_and_one_that_is_not_is_replaced(tmp_path: Path) -> None:
    blobs, manifest = stored(tmp_path, FILES, executable=("bin/run",))
    folder = tmp_path / "layouts" / "one"
    layout.lay_out(blobs, manifest, folder)
    before = folder.stat().st_ino
    layout.lay_out(blobs, manifest, folder)
    assert folder.stat().st_ino == before
    for harm in (
        lambda: (folder / "app.py").unlink(),
        lambda: (folder / "more").write_bytes(b""),
        lambda: (folder / "bin/run").write_bytes(b"other"),
        lambda: (folder / "bin/run").chmod(0o444),
    ):
        for path in [folder, *folder.rglob("*")]:
            if not (path.is_file() and path.stat().st_nlink > 1):
                path.chmod(0o755)
        harm()
        layout.lay_out(blobs, manifest, folder)
        assert sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file()) == sorted(
            FILES
        )
        assert (folder / "bin/run").read_bytes() == FILES["bin/run"] and os.access(
            folder / "bin/run", os.X_OK
        )
    assert list((tmp_path / "layouts/incoming").iterdir()) == []


def test_a_missing_or_wrong_blob_is_not_laid_out(tmp_path: Path) -> None:
    blobs, manifest = stored(tmp_path, FILES, executable=("bin/run",))
    blob = Path(blobs.path(Digest.of(FILES["bin/run"])))
    blob.chmod(0o644)
    blob.write_bytes(b"#!/bin/sh\necho evil\n")
    with pytest.raises(NotProven):
        layout.lay_out(blobs, manifest, tmp_path / "layouts/one")
    blob.unlink()
    with pytest.raises(NotProven, match="not in the store"):
        layout.lay_out(blobs, manifest, tmp_path / "layouts/one")
    assert not (tmp_path / "layouts/one").exists()


def test_removed_is_gone_and_the_blobs_stay(tmp_path: Path) -> None:
    blobs, manifest = stored(tmp_path, FILES)
    folder = tmp_path / "layouts" / "one"
    layout.lay_out(blobs, manifest, folder)
    durable.remove_tree(folder)
    durable.remove_tree(folder)
    assert not folder.exists()
    layout.lay_out(blobs, manifest, folder)


def test_it_is_made_replaced_and_removed_by_any_user(tmp_path: Path) -> None:
    """Root may do what others may not, such as move a folder that cannot be written to."""

    def work() -> None:
        blobs, manifest = stored(tmp_path, FILES, executable=("bin/run",))
        folder = tmp_path / "layouts" / "one"
        layout.lay_out(blobs, manifest, folder)
        layout.lay_out(blobs, manifest.changed({}, [b"a/same"]), folder)
        assert not (folder / "a/same").exists() and stat.S_IMODE(folder.stat().st_mode) == 0o555
        durable.remove_tree(folder)
        assert [one.name for one in (tmp_path / "layouts").iterdir()] == ["incoming"]
        assert list((tmp_path / "layouts/incoming").iterdir()) == []

    for folder in (tmp_path, *tmp_path.parents[:3]):
        if os.geteuid() == 0 and folder.is_relative_to("/tmp/") and folder != Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o011)
    if os.geteuid() != 0:
        return work()
    os.chown(tmp_path, 65534, 65534)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgid(65534)
            os.setuid(65534)
            work()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    return None
