"""The output of a build is the work of a stranger: nothing outside it is read, nothing odd is taken."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest
from store_kit import served

from gitdeploy.domain.manifest import Manifest
from gitdeploy.errors import Failed, GitdeployError, Invalid, NotFound, Refused
from gitdeploy.process import Command, check
from gitdeploy.store.artifacts import Store
from gitdeploy.store.home import Home
from gitdeploy.store.output_folder import folder_files


@pytest.fixture
def output(tmp_path: Path) -> Path:
    folder = tmp_path / "work" / "public"
    folder.mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    return folder


def taken(store: Store, output: Path) -> Manifest:
    return store.publish_whole(folder_files(output), like=None).manifest


def test_a_folder_comes_back_as_it_was(store: Store, output: Path) -> None:
    (output / "d").mkdir()
    (output / "d" / "page").write_text("page")
    (output / "big").write_bytes(os.urandom(3 << 20))
    (output / "empty").touch()
    odd = output / os.fsdecode(b"\xff\n ")
    odd.mkdir()
    (odd / "x").write_text("odd")

    folder = store.materialise(taken(store, output))

    assert served(folder) == served(output)


def test_only_the_executable_bit_of_a_mode_is_taken(store: Store, output: Path) -> None:
    for name, mode in (("plain", 0o640), ("run", 0o700), ("setuid", 0o4644), ("sticky", 0o7777)):
        (output / name).write_text(name)
        (output / name).chmod(mode)

    kinds = {path.decode(): entry.kind for path, entry in taken(store, output).items()}

    assert kinds == {"plain": "file", "run": "exec", "setuid": "file", "sticky": "exec"}


def test_links_are_taken_as_links(store: Store, output: Path) -> None:
    (output / "page").write_text("page")
    (output / "link").symlink_to("page")

    manifest = taken(store, output)

    assert (manifest[b"link"].kind, manifest[b"link"].target) == ("link", b"page")


@pytest.mark.parametrize("target", ["../../secret", "/etc/passwd", "d/../../x"])
def test_a_link_out_of_the_folder_is_refused(store: Store, output: Path, target: str) -> None:
    (output / "d").mkdir()
    (output / "d" / "x").touch()
    (output / "link").symlink_to(target)

    with pytest.raises(Invalid, match="link leads out of the site"):
        taken(store, output)


def test_a_link_to_a_folder_outside_is_not_walked(store: Store, output: Path, tmp_path: Path) -> None:
    (output / "d").symlink_to(tmp_path)

    with pytest.raises(Invalid, match="leads out of the site"):
        taken(store, output)


def test_pipes_sockets_and_devices_are_refused_by_name(store: Store, output: Path) -> None:
    def refused() -> None:
        with pytest.raises(Refused, match="d/odd in the build's output is neither"):
            taken(store, output)
        odd.unlink()

    (output / "d").mkdir()
    odd = output / "d" / "odd"
    os.mkfifo(odd)
    refused()
    check(Command(("mknod", str(odd), "c", "1", "3")))
    refused()
    check(Command(("mknod", str(odd), "b", "7", "250")))
    refused()
    # A socket's path is at most 107 bytes, which a test's folder may exceed; one relative to it is short.
    here = os.open(output / "d", os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{here}/odd")
        refused()
    os.close(here)


def test_a_folder_that_is_a_link_is_not_followed(store: Store, output: Path, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "public").mkdir()
    (tmp_path / "etc" / "public" / "shadow").write_text("secret")
    output.rmdir()
    output.symlink_to(tmp_path / "etc")
    with pytest.raises(NotFound, match="left no folder public"):
        taken(store, output)

    output.unlink()
    output.parent.rmdir()
    output.parent.symlink_to(tmp_path / "etc")
    with pytest.raises(NotFound, match="left no folder public"):
        store.publish_whole(folder_files(output, inside=tmp_path), like=None)


@pytest.mark.parametrize("missing", ["nothing", "file"])
def test_an_output_that_is_no_folder_is_not_found(store: Store, tmp_path: Path, missing: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(NotFound, match="left no folder"):
        store.publish_whole(folder_files(tmp_path / missing, inside=tmp_path), like=None)


def test_an_inside_that_is_not_above_is_a_mistake(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not in the subpath"):
        list(folder_files(tmp_path, inside=tmp_path / "below"))


def test_a_folder_too_deep_is_refused(output: Path) -> None:
    deep = output.joinpath(*["d"] * 40)
    deep.mkdir(parents=True)
    (deep / "x").touch()

    with pytest.raises(Invalid, match="32 folders deep"):
        list(folder_files(output))


def test_what_vanishes_while_it_is_read_is_said(output: Path) -> None:
    for name in "abc":
        (output / name).write_text(name)
    files = folder_files(output)
    next(files)
    (output / "b").unlink()

    with pytest.raises(Failed, match="b in the build's output was replaced"):
        list(files)


def test_a_file_replaced_by_a_link_is_not_followed(output: Path, tmp_path: Path) -> None:
    for name in "abc":
        (output / name).write_text(name)
    files = folder_files(output)
    next(files)
    (output / "b").unlink()
    (output / "b").symlink_to(tmp_path / "secret")

    with pytest.raises(Failed, match="b in the build's output was replaced"):
        list(files)


def test_a_folder_replaced_by_a_link_is_not_followed(output: Path, tmp_path: Path) -> None:
    (output / "a").write_text("a")
    (output / "b").mkdir()
    files = folder_files(output)
    next(files)
    (output / "b").rmdir()
    (output / "b").symlink_to(tmp_path)

    with pytest.raises(Failed, match="b in the build's output was replaced"):
        list(files)


def test_content_that_is_taken_too_late_is_an_error(output: Path) -> None:
    (output / "big").write_bytes(b"x" * (2 << 20))
    (big,) = list(folder_files(output))

    with pytest.raises(ValueError, match="closed"):
        list(big.content)


def test_a_file_that_grows_for_ever_still_ends(store: Store, home: Home, output: Path) -> None:
    (output / "log").write_bytes(b"x" * (2 << 20))
    stop = threading.Event()

    def grow() -> None:
        with open(output / "log", "ab") as log:
            while not stop.is_set():
                log.write(b"y" * 4096)
                log.flush()

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        manifest = taken(store, output)
    finally:
        stop.set()
        writer.join()

    assert manifest[b"log"].size >= 2 << 20
    assert Store(home).load(manifest.root) == manifest
    assert store.scrub() == []


def test_a_folder_in_turmoil_is_either_taken_whole_or_refused(
    store: Store, output: Path, tmp_path: Path
) -> None:
    (output / "d").mkdir()
    (output / "d" / "page").write_text("fine")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            (output / "d").rename(output / "aside")
            (output / "d").symlink_to(tmp_path)
            (output / "d").unlink()
            (output / "aside").rename(output / "d")

    swapper = threading.Thread(target=swap)
    swapper.start()
    seen = []
    try:
        for _ in range(300):
            try:
                seen += [b"".join(one.content) for one in folder_files(output) if one.kind == "file"]
            except GitdeployError:
                continue
    finally:
        stop.set()
        swapper.join()

    assert set(seen) <= {b"fine"}
