"""Files of one instant: what was open then is read as it was, and what was not is told of."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from gitdeploy.data import files, look, seen
from gitdeploy.data.look import Look
from gitdeploy.data.seen import Seen

COUNT = look._MOST_OPEN + 20
ABOVE = b"files/"


def test_files_are_read_as_they_were_at_the_instant_or_are_told_of(tmp_path: Path) -> None:
    names = [f"{number:03d}" for number in range(COUNT)]
    (tmp_path / "deep").mkdir()
    for name in names:
        (tmp_path / "deep" / name).write_text(f"first {name}")
    instant = files.tick()
    with Look(tmp_path, ABOVE, frozenset(), Seen()) as looking:
        looking.fix(instant)
        assert not looking.newer and len(list(looking.now.paths())) == COUNT
        for name in (names[0], names[-1]):
            (tmp_path / "deep" / name).unlink()
        for name in (names[1], names[-2]):
            (tmp_path / "new").write_text("second")
            (tmp_path / "new").rename(tmp_path / "deep" / name)
        for name in (names[2], names[-3]):
            (tmp_path / "deep" / name).write_text("second")
        got = {os.fsdecode(one.path): b"".join(one.content).decode() for one in looking.fixed()}
    path = "files/deep/{}".format
    # Those that were open are still what they were, but for the one that was written into.
    assert [got[path(name)] for name in names[:2]] == [f"first {name}" for name in names[:2]]
    assert all(got[path(name)] == f"first {name}" for name in names[3:-3])
    # Of those that were not there is what is there now, and it is told.
    assert path(names[-1]) not in got and os.fsencode(path(names[-1])) not in looking.now
    assert got[path(names[-2])] == "second"
    changed = {os.fsencode(path(name)) for name in (names[2], *names[-3:])}
    assert looking.newer == changed


def test_what_was_written_since_the_instant_is_newer(tmp_path: Path) -> None:
    (tmp_path / "before").write_text("a")
    instant = files.tick()
    (tmp_path / "after").write_text("b")
    with Look(tmp_path, ABOVE, frozenset(), Seen()) as looking:
        looking.fix(instant)
        assert looking.newer == {b"files/after"}


def test_a_look_tells_how_long_it_took_without_the_reading(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("a")
    began, held = time.monotonic(), 0.0
    with Look(tmp_path, ABOVE, frozenset(), Seen()) as looking:
        for _ in looking.read():
            since = time.monotonic()
            time.sleep(0.05)  # a slow reader
            held += time.monotonic() - since
    assert held > 0 and 0 < looking.seconds <= time.monotonic() - began - held


def test_what_was_seen_is_remembered_and_a_damaged_memory_is_none(tmp_path: Path) -> None:
    memory = tmp_path / "made" / "seen"
    stamp = (-1, -(10**18), 2**63, 2**64 - 1)
    known = Seen({b"": {b"a": stamp}, b"deep/": {b"\xff": (1, 2, 3, 4)}, b"none/": {}})
    seen.write(memory, known, {"more": "é"})
    assert seen.read(memory) == (known, {"more": "é"})
    assert memory.stat().st_mode & 0o777 == 0o600
    assert b"deep/\xff" in known and b"deep/a" not in known and sorted(known.paths()) == [b"a", b"deep/\xff"]
    written = memory.read_bytes()
    for damaged in (b"", b'{"stamps": {}}', written[:-1], written[:40] + b"x" + written[41:]):
        memory.write_bytes(damaged)
        with pytest.raises(ValueError, match="not as it was written"):
            seen.read(memory)
