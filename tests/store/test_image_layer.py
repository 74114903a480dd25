"""Layers: what a tar program makes of them, and that the same trees give the same bytes."""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import tarfile
import time
from pathlib import Path

import pytest
from store_kit import blob, file, flip, link, publish
from support import eventually

from gitdeploy.errors import Failed, NotProven
from gitdeploy.store.artifacts import Store
from gitdeploy.store.home import Home
from gitdeploy.store.layer import Text, pack_texts

LONG = "long/" + "x" * 200 + "/" + "y" * 200


def test_a_layer_holds_files_with_modes_links_and_any_name(store: Store, tmp_path: Path) -> None:
    odd = os.fsdecode(b"odd/\xff\xfe \n'name")
    files = [
        file("index.html", "hello"),
        file("bin/run", "#!/bin/sh\n", executable=True),
        link("bin/latest", "run"),
        file(LONG, "far"),
        file("é/ü", "umlaut"),
    ]
    files.append(type(files[0])(os.fsencode(odd), "file", (b"odd",)))
    with store.publish_whole(files, like=None) as published:
        root = published.manifest.root
    first = store.pack(None, root, b"srv/app", tmp_path / "one.tar.gz")
    packed_at = int(time.time())
    eventually(lambda: int(time.time()) > packed_at)  # a clock in the bytes would show another second
    again = store.pack(None, root, b"srv/app", tmp_path / "two.tar.gz")

    assert (first.digest, first.diff_id, first.size) == (again.digest, again.diff_id, again.size)
    packed = first.path.read_bytes()
    assert first.digest == "sha256:" + hashlib.sha256(packed).hexdigest()
    assert first.diff_id == "sha256:" + hashlib.sha256(gzip.decompress(packed)).hexdigest()
    assert first.size == len(packed)
    subprocess.run(["tar", "-xpf", first.path, "-C", tmp_path], check=True)
    top = tmp_path / "srv/app"
    assert (top / "index.html").read_text() == "hello"
    assert (top / "bin/run").stat().st_mode & 0o777 == 0o755
    assert (top / "index.html").stat().st_mode & 0o777 == 0o644
    assert (top / "bin/latest").readlink() == Path("run")
    assert (top / LONG).read_text() == "far"
    assert (top / odd).read_bytes() == b"odd"
    assert (top / "é/ü").read_text() == "umlaut"
    with tarfile.open(first.path) as tar:
        assert {(one.uid, one.gid) for one in tar.getmembers()} == {(0, 0)}
        assert tar.getnames()[:2] == ["srv", "srv/app"]


def test_equal_sizes_have_different_times(store: Store, tmp_path: Path) -> None:
    """An edge makes the ETag of time and size."""
    with publish(store, {"a": "one", "b": "two"}) as published:
        packed = store.pack(None, published.manifest.root, b"app", tmp_path / "layer")
    with tarfile.open(packed.path) as tar:
        times = {one.name: one.mtime for one in tar.getmembers()}
    assert times["app/a"] != times["app/b"] and times["app"] == 0


def test_a_difference_says_what_is_gone_and_nothing_else_that_is_the_same(
    store: Store, tmp_path: Path
) -> None:
    old = {"same": "1", "gone": "2", "folder/deep/one": "3", "folder/two": "4", "was_file": "5", "was/folder": "6",
           "left/a": "7", "left/b": "8"}  # fmt: skip
    new = {"same": "1", "was_file/now": "5", "was": "6", "left/a": "7"}
    with publish(store, old) as before, publish(store, new) as after:
        packed = store.pack(before.manifest.root, after.manifest.root, b"app", tmp_path / "layer")

    with tarfile.open(packed.path) as tar:
        names = [one.name + "/" * one.isdir() for one in tar.getmembers()]
    assert names == [
        "app/", "app/.wh.folder", "app/.wh.gone", "app/left/", "app/left/.wh.b", "app/was", "app/was_file/",
        "app/was_file/now",
    ]  # fmt: skip


def test_a_damaged_file_is_not_packed(store: Store, home: Home, tmp_path: Path) -> None:
    with publish(store, {"css/a.css": "bytes", "b": "x"}) as published:
        flip(blob(home, published.manifest, "css/a.css"))
        with pytest.raises(NotProven, match=r"css/a\.css"):
            store.pack(None, published.manifest.root, b"app", tmp_path / "layer")
        blob(home, published.manifest, "css/a.css").unlink()
        with pytest.raises(NotProven, match=r"css/a\.css"):
            store.pack(None, published.manifest.root, b"app", tmp_path / "other")


def test_a_full_disk_is_said(store: Store, small_disk: Path) -> None:
    with publish(store, {str(one): os.urandom(500_000) for one in range(8)}) as published:
        with pytest.raises(Failed, match="disk is full"):
            store.pack(None, published.manifest.root, b"app", small_disk / "layer")
        (small_disk / "layer").unlink()
        with pytest.raises(Failed, match="disk is full"):
            pack_texts({b"a": Text(os.urandom(2_097_000))}, small_disk / "layer")


def test_small_files_of_ours_come_with_their_folders(tmp_path: Path) -> None:
    packed = pack_texts({b"a/b/c": Text(b"text"), b"a/link": Text(target=b"b/c")}, tmp_path / "layer")

    with tarfile.open(packed.path) as tar:
        assert tar.getnames() == ["a", "a/b", "a/b/c", "a/link"]
        assert tar.extractfile("a/link").read() == b"text"
