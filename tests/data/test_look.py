"""Files of one instant: what was open then is read as it was, and what was not is told of."""

from __future__ import annotations

import os
import time
from pathlib import Path

from gitdeploy.data import files, look
from gitdeploy.data.files import Seen
from gitdeploy.data.look import Look

COUNT = look._MOST_OPEN + 20
ABOVE = b"files/"


def test_files_are_read_as_they_were_at_the_instant_or_are_told_of(tmp_path: Path) -> None:
    names = [f"{number:03d}" for number in range(COUNT)]
    (tmp_path / "deep").mkdir()
    for name in names:
        (tmp_path / "deep" / name).write_text(f"first {name}")
    instant = files.tick()
    with Look(tmp_path, ABOVE, frozenset(), Seen()) as seen:
        seen.fix(instant)
        assert not seen.newer and len(seen.now.stamps) == COUNT
        for name in (names[0], names[-1]):
            (tmp_path / "deep" / name).unlink()
        for name in (names[1], names[-2]):
            (tmp_path / "new").write_text("second")
            (tmp_path / "new").rename(tmp_path / "deep" / name)
        for name in (names[2], names[-3]):
            (tmp_path / "deep" / name).write_text("second")
        got = {os.fsdecode(one.path): b"".join(one.content).decode() for one in seen.fixed()}
    path = "files/deep/{}".format
    # Those that were open are still what they were, but for the one that was written into.
    assert [got[path(name)] for name in names[:2]] == [f"first {name}" for name in names[:2]]
    assert all(got[path(name)] == f"first {name}" for name in names[3:-3])
    # Of those that were not there is what is there now, and it is told.
    assert path(names[-1]) not in got and os.fsencode(path(names[-1])) not in seen.now.stamps
    assert got[path(names[-2])] == "second"
    changed = {os.fsencode(path(name)) for name in (names[2], *names[-3:])}
    assert seen.newer == changed


def test_what_was_written_since_the_instant_is_newer(tmp_path: Path) -> None:
    (tmp_path / "before").write_text("a")
    instant = files.tick()
    (tmp_path / "after").write_text("b")
    with Look(tmp_path, ABOVE, frozenset(), Seen()) as seen:
        seen.fix(instant)
        assert seen.newer == {b"files/after"}


def test_a_look_tells_how_long_it_took_without_the_reading(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("a")
    with Look(tmp_path, ABOVE, frozenset(), Seen()) as seen:
        for _ in seen.read():
            time.sleep(0.3)
    assert 0 < seen.seconds < 0.25
