"""What comes back from a builder may be anything: it is written into one folder, or refused."""

from __future__ import annotations

import contextlib
import json
import os
import struct
import threading
import time

import pytest

from gitdeploy.build import parcel, there, wire
from gitdeploy.build.wire import END, EXEC, FILE, LINK, PIECE, Gone, Wire
from gitdeploy.errors import Failed, GitdeployError, Refused


class Pair:
    """Two ends of a wire. `say` sends frames as they are, and hangs up."""

    def __init__(self) -> None:
        one, two = os.pipe(), os.pipe()
        self.ours, self.theirs = Wire(one[0], two[1]), Wire(two[0], one[1])
        self.fds = {*one, *two}
        self.reading, self.writing = one
        self.thread = threading.Thread()
        self.thread.start()

    def say(self, *frames: tuple[bytes, bytes]) -> None:
        def all_of_them() -> None:
            with contextlib.suppress(Gone):  # nobody reads to the end of what is refused
                for kind, payload in frames:
                    self.theirs.send(kind, payload)
            self.fds.remove(self.writing)
            os.close(self.writing)

        self.thread = thread = threading.Thread(target=all_of_them, daemon=True)
        thread.start()
        if sum(len(payload) for _, payload in frames) < 60_000:  # a pipe takes it all
            thread.join()

    def close(self) -> None:
        self.fds.remove(self.reading)
        os.close(self.reading)
        self.thread.join()
        for fd in self.fds:
            os.close(fd)


@pytest.fixture
def pair():
    one = Pair()
    yield one
    one.close()


def link(path: bytes, target: bytes) -> tuple[bytes, bytes]:
    return LINK, struct.pack(">H", len(path)) + path + target


def test_a_folder_arrives_as_it_was(pair, tmp_path):
    tree = tmp_path / "tree"
    for name, data in {b"a b": b"x", b"deep/er/\xff\n": b"", b"big": os.urandom(3 << 20)}.items():
        path = tree / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (tree / "run").write_text("#!/bin/sh")
    (tree / "run").chmod(0o755)
    (tree / "deep/up").symlink_to("../a b")

    def seen(folder):
        return {
            path.relative_to(folder): (
                path.is_symlink() and path.readlink(),
                path.is_file() and (path.read_bytes(), path.stat().st_mode & 0o100),
            )
            for path in folder.rglob("*")
        }

    for number, files in enumerate((parcel.tree(tree), parcel.output(tree, tree))):
        sender = threading.Thread(target=wire.send_files, args=(pair.theirs, files), daemon=True)
        sender.start()
        parcel.receive(pair.ours, None, tmp_path / f"there{number}", 1 << 30)
        sender.join()
        assert seen(tmp_path / f"there{number}") == seen(tree)


@pytest.mark.parametrize(
    "frames",
    [
        [(FILE, b"../outside")], [(FILE, b"/outside")], [(EXEC, b"a/../../outside")], [(FILE, b"")], [(FILE, b"a//b")],
        [(FILE, b"a\0b")], [(FILE, b"./a")], [(FILE, b"x" * 5000)], [link(b"../outside", b"a")], [link(b"a", b"")],
        [(FILE, b"a"), (FILE, b"a")], [(FILE, b"a"), (FILE, b"a/b")], [(FILE, b"a/b"), (FILE, b"a")],
        [link(b"a", b"OUTSIDE"), (FILE, b"a/outside")], [link(b"a", b"OUTSIDE"), link(b"a/outside", b"b")],
        [link(b"a", b"b"), link(b"a", b"c")], [(LINK, b"\xff\xffa")], [(LINK, b"")],
    ],
)  # fmt: skip
def test_no_path_leads_out_or_through_something_else(pair, tmp_path, frames):
    (tmp_path / "elsewhere").mkdir()
    there = os.fsencode(tmp_path / "elsewhere")
    pair.say(*((kind, payload.replace(b"OUTSIDE", there)) for kind, payload in frames), (END, b""))
    with pytest.raises(GitdeployError) as refused:
        parcel.receive(pair.ours, None, tmp_path / "into", 1 << 20)
    assert isinstance(refused.value, Refused)
    assert not list((tmp_path / "elsewhere").iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "into"]


def test_no_more_comes_in_than_may(pair, tmp_path):
    pair.say((FILE, b"a"), *([(PIECE, b"x" * 100_000)] * 30), (END, b""))
    with pytest.raises(Failed, match="wrote more than 1"):
        parcel.receive(pair.ours, None, tmp_path / "into", 1 << 20)
    assert (tmp_path / "into/a").stat().st_size <= 1 << 20


@pytest.mark.parametrize(
    "frames", [[(b"?", b"")], [(PIECE, b"x")], [(FILE, b"a"), (b"L", b"log")], [(FILE, b"a")]]
)
def test_what_is_no_output_is_a_builder_that_went_away(pair, tmp_path, frames):
    pair.say(*frames)
    with pytest.raises(Gone):
        parcel.receive(pair.ours, None, tmp_path / "into", 1 << 20)


def test_a_frame_without_end_is_not_waited_for(pair):
    os.write(pair.writing, struct.pack(">cI", b"L", 0xFFFFFFFF))
    with pytest.raises(Gone, match="no builder"):
        pair.ours.receive()


def test_who_is_not_heard_is_gone_and_beats_are_heard(pair, monkeypatch):
    monkeypatch.setattr(wire, "BEATS", 0.05)
    monkeypatch.setattr(wire, "SILENCE", 2.0)
    with pair.theirs.beating():
        pair.ours.greeted()
        ended = time.monotonic() + 4

        def waits() -> None:
            if time.monotonic() > ended:
                raise TimeoutError

        pair.ours.waits = waits
        with pytest.raises(TimeoutError):
            pair.ours.receive()
    pair.ours.waits = lambda: None
    with pytest.raises(Gone, match="nothing was heard"):
        pair.ours.receive()


def test_a_refusal_has_no_control_characters_and_bounded_length():
    said = there._refusal(json.dumps({"code": "refused", "message": "a\x1b[2J\n" * 500, "hint": ""}).encode())
    assert isinstance(said, Refused) and said.message.isprintable() and len(said.message) <= 1000
    with pytest.raises(Gone):
        there._refusal(b"[]")
