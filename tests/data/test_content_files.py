"""Files between data folders: what is copied, what gets its name, and what a program may plant in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gitdeploy.data import content_files
from gitdeploy.data.content_files import Staging, look


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A source with files, an empty target, and where copies lie."""
    source, target, work = (tmp_path / name for name in ("source", "target", "work"))
    for folder in (source / "a/b", target, work):
        folder.mkdir(parents=True)
    (source / "a/one").write_text("1")
    (source / "a/b/two").write_text("2")
    (source / "run").write_text("#!")
    (source / "run").chmod(0o755)
    return source, target, work


def move(source: Path, target: Path, work: Path, going: tuple[str, ...] = ()) -> None:
    staging, tree = Staging(work / "new", None), look(source, set(), None)
    staging.take(source, tree.held, tree.held)
    content_files.put(target, work / "new", work / "aside", staging.named(tree.held), going, None)


def test_files_come_with_their_modes_and_what_goes_is_gone(folders):
    source, target, work = folders
    (target / "old").write_text("old")
    (target / "a").mkdir()
    (target / "a/one").write_text("before")
    move(source, target, work, ("old", "never/was"))
    assert look(target, set(), None).held == look(source, set(), None).held
    assert os.access(target / "run", os.X_OK) and not os.access(target / "a/one", os.X_OK)
    assert not list((work / "new").iterdir())


def test_only_what_changed_is_read_again(folders, tmp_path, monkeypatch):
    source, _, _ = folders
    for path in source.rglob("*"):
        os.utime(path, (1, 1)) if path.is_file() else None
    index, read = tmp_path / "index.json", []
    monkeypatch.setattr(content_files.files, "_SETTLED", -(10**12))  # as if all had been left alone for long
    first = look(source, {b"run"}, index)
    assert set(first.held) == {"a/one", "a/b/two"}
    real = content_files.hashlib.sha256
    monkeypatch.setattr(content_files.hashlib, "sha256", lambda *given: read.append(1) or real(*given))
    assert look(source, {b"run"}, index) == first and not read
    (source / "a/one").write_text("changed")
    again = look(source, {b"run"}, index)
    assert again.held["a/one"] != first.held["a/one"] and again.held["a/b/two"] == first.held["a/b/two"]
    assert len(read) == 1
    index.write_text("{")
    assert look(source, {b"run"}, index) == again


def test_no_link_of_the_source_is_followed(folders, tmp_path):
    source, _, work = folders
    (tmp_path / "secret").write_text("secret")
    (source / "link").symlink_to(tmp_path / "secret")
    (source / "folder").symlink_to(tmp_path)
    os.mkfifo(source / "pipe")
    tree = look(source, set(), None)
    assert tree.links == ("folder", "link") and set(tree.held) == {"a/one", "a/b/two", "run"}
    # One that takes the place of a file, or of a folder above it, once it was looked at.
    (source / "a/one").unlink()
    (source / "a/one").symlink_to(tmp_path / "secret")
    (source / "a/b").rename(source / "a/was")
    (source / "a/b").symlink_to(source / "a/was")
    staging = Staging(work / "new", None)
    staging.take(source, tree.held, tree.held)
    assert set(staging.named(tree.held)) == {"run"}


def test_what_a_program_puts_in_the_way_afterwards_is_moved_aside(folders, tmp_path):
    source, target, work = folders
    outside = tmp_path / "outside"
    outside.mkdir()
    (target / "a").symlink_to(outside)
    (target / "run").mkdir()
    (target / "run/inner").write_text("x")
    move(source, target, work, ("a/gone",))
    assert look(target, set(), None).held == look(source, set(), None).held
    assert not list(outside.iterdir())


def test_what_was_begun_is_finished_by_doing_it_again(folders, monkeypatch):
    source, target, work = folders
    real, named = content_files._name, []

    def name(copy: Path, called: str, above: int) -> None:
        if named:
            raise OSError("killed")
        named.append(called)
        real(copy, called, above)

    monkeypatch.setattr(content_files, "_name", name)
    staging, tree = Staging(work / "new", None), look(source, set(), None)
    staging.take(source, tree.held, tree.held)
    given = target, work / "new", work / "aside", staging.named(tree.held), (), None
    with pytest.raises(OSError, match="killed"):
        content_files.put(*given)
    monkeypatch.undo()
    content_files.put(*given)
    content_files.put(*given)
    assert look(target, set(), None).held == tree.held


def test_a_file_that_was_written_to_since_is_copied_again(folders):
    source, target, work = folders
    staging, first = Staging(work / "new", None), look(source, set(), None)
    staging.take(source, first.held, first.held)
    (source / "a/one").write_text("new")
    last = look(source, set(), None)
    staging.take(source, last.held, last.held)
    content_files.put(target, work / "new", work / "aside", staging.named(last.held), (), None)
    assert (target / "a/one").read_text() == "new"
    assert not list((work / "new").iterdir())
