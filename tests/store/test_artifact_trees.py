"""What the edge serves from: hard links to blobs, shared by all versions, never a file that was swapped."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from store_kit import blob, file, link, names, publish, sealed, served

from gitdeploy.domain.digest import Digest
from gitdeploy.domain.manifest import Entry, Manifest
from gitdeploy.errors import Failed, NotProven
from gitdeploy.process import Command, check
from gitdeploy.store.artifacts import Store
from gitdeploy.store.home import Home
from gitdeploy.store.publish import NewFile


def test_a_tree_holds_the_files_as_links_to_their_blobs(store: Store, home: Home) -> None:
    manifest = publish(store, {"index.html": "hello", "d/e/page": "a page"}).manifest

    folder = store.materialise(manifest)

    assert served(folder) == {"index.html": b"hello", "d/e/page": b"a page"}
    assert (folder / "index.html").samefile(blob(home, manifest, "index.html"))
    assert folder == home.store / "trees" / manifest.root
    assert (folder / "d").readlink().parts[0] == ".."


def test_a_changed_file_makes_only_the_folders_above_it(store: Store, home: Home) -> None:
    before = publish(store, {"a/x": "1", "b/c/y": "2", "b/d/z": "3"}).manifest
    store.materialise(before)
    old = names(home.store / "trees")
    with store.publish([file("b/c/y", "new")], base=before, removed=[]) as published:
        folder = store.materialise(published.manifest, serving=before)

    assert len(names(home.store / "trees") - old) == 3
    assert served(folder) == {"a/x": b"1", "b/c/y": b"new", "b/d/z": b"3"}


def test_two_versions_of_one_size_have_different_times(store: Store) -> None:
    one, two = (store.materialise(publish(store, {"p": text}).manifest) for text in ("old", "new"))

    assert (one / "p").stat().st_size == (two / "p").stat().st_size
    assert (one / "p").stat().st_mtime != (two / "p").stat().st_mtime


def test_links_of_the_site_are_followed(store: Store) -> None:
    files = [file("v/1/x", "one"), file("v/2/x", "two"), link("v/now", "2"), link("home", "v/now/x")]
    manifest = store.publish_whole(files, like=None).manifest

    assert served(store.materialise(manifest)) == {
        "home": b"two", "v/1/x": b"one", "v/2/x": b"two", "v/now/x": b"two",
    }  # fmt: skip


def test_odd_names_are_served(store: Store, home: Home) -> None:
    odd = [b"a b", b"new\nline", b"\xff\xfe", "é".encode(), b"A", b"a", b"%41", b"-rf", b"x" * 255]
    manifest = store.publish_whole([NewFile(name, "file", (name,)) for name in odd], like=None).manifest

    assert names(store.materialise(manifest)) == {os.fsdecode(name) for name in odd}
    assert dict(Store(home).load(manifest.root)) == dict(manifest)


def test_the_deepest_tree_that_is_legal_can_be_opened_through_three_more_links(
    store: Store, tmp_path: Path
) -> None:
    manifest = publish(store, {"/".join(["d"] * 32 + ["page"]): "deep"}).manifest
    (tmp_path / "root").symlink_to(store.materialise(manifest))
    (tmp_path / "current").symlink_to(tmp_path)
    (tmp_path / "host").symlink_to(tmp_path)

    assert (tmp_path / "host/current/root" / "/".join(["d"] * 32) / "page").read_bytes() == b"deep"


def test_an_empty_site_is_an_empty_folder(store: Store) -> None:
    assert served(store.materialise(store.publish([], base=None, removed=[]).manifest)) == {}


def _replaced(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"evil!")


def _added(path: Path) -> None:
    (path.parent / "backdoor").write_bytes(b"evil!")


def _redirected(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


@pytest.mark.parametrize("tamper", [_replaced, _added, _redirected, Path.unlink])
def test_a_tree_that_was_tampered_with_is_made_again(store: Store, tamper: object) -> None:
    assert callable(tamper)
    manifest = publish(store, {"d/x": "right", "y": "too"}).manifest
    folder = store.materialise(manifest)
    tamper((folder / "d").resolve() / "x")

    assert store.materialise(manifest) == folder
    assert served(folder) == {"d/x": b"right", "y": b"too"}


def test_a_tree_whose_folder_link_was_bent_is_made_again(store: Store, tmp_path: Path) -> None:
    manifest = publish(store, {"d/x": "right"}).manifest
    folder = store.materialise(manifest)
    (folder / "d").unlink()
    (folder / "d").symlink_to(tmp_path)

    store.materialise(manifest)

    assert served(folder) == {"d/x": b"right"}


def test_a_missing_blob_makes_no_tree(store: Store, home: Home) -> None:
    manifest = publish(store, {"a": "1", "b": "2"}).manifest
    blob(home, manifest, "b").unlink()

    with pytest.raises(NotProven, match="not in the store"):
        store.materialise(manifest)

    assert names(home.store / "trees") == {"incoming"}
    assert names(home.store / "trees" / "incoming") == set()


def test_where_no_hard_link_can_be_made_files_are_copied(store: Store, home: Home) -> None:
    manifest = publish(store, {"d/a": "one", "b": "two"}).manifest
    trees = home.store / "trees"
    trees.mkdir()
    check(Command(("mount", "-t", "tmpfs", "other", str(trees))))
    try:
        folder = store.materialise(manifest)
        again = store.materialise(manifest)
        original = blob(home, manifest, "b").stat()
        copy = (folder / "b").stat()
        found = served(again)
    finally:
        check(Command(("umount", str(trees))))

    assert found == {"d/a": b"one", "b": b"two"}
    assert (copy.st_mtime_ns, copy.st_mode) == (original.st_mtime_ns, original.st_mode)
    assert copy.st_dev != original.st_dev


def test_a_full_disk_makes_no_tree(small_disk: Path) -> None:
    home = Home(small_disk / "home")
    store = Store(home)
    manifest = publish(store, {f"{number}/x": str(number) for number in range(300)}).manifest
    full = os.statvfs(small_disk)
    for number in range(full.f_ffree - 100):
        (small_disk / str(number)).touch()

    with pytest.raises(Failed, match="disk is full"):
        store.materialise(manifest)

    assert names(home.store / "trees") == {"incoming"}
    assert names(home.store / "trees" / "incoming") == set()


def test_released_trees_go_and_kept_ones_stay(store: Store, home: Home) -> None:
    kept, gone = sealed(store, {"same/x": "1", "a": "2"}), sealed(store, {"same/x": "1", "b": "3"})
    held = sealed(store, {"c": "4"})
    folders = [store.materialise(one) for one in (kept, gone, held)]

    with store.hold(held.root):
        store.release_trees(lambda: [kept.root])

    assert [folder.exists() for folder in folders] == [True, False, True]
    assert served(folders[0]) == {"same/x": b"1", "a": b"2"}
    assert names(home.store / "trees" / "incoming") == set()
    store.release_trees(lambda: [kept.root])
    assert not folders[2].exists()


def test_several_make_the_same_tree_at_once(store: Store) -> None:
    manifest = publish(store, {f"{number % 7}/{number}": str(number) for number in range(100)}).manifest
    folders: list[Path] = []
    threads = [threading.Thread(target=lambda: folders.append(store.materialise(manifest))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(folders)) == 1
    assert len(folders) == 4
    assert len(served(folders[0])) == 100


def test_a_manifest_says_what_lies_at_a_path() -> None:
    manifest = Manifest.of({b"d/x": Entry("file", Digest.of(b""), 0)})

    assert [manifest.kind(path) for path in (b"", b"d", b"d/x", b"d/y", b"d/x/z")] == [
        "folder", "folder", "file", None, None,
    ]  # fmt: skip
