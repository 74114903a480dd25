from __future__ import annotations

import queue
import sys
import threading
from pathlib import Path

from gitdeploy import process
from gitdeploy.build.log import BuildLog, read
from gitdeploy.build.transcript import LONGEST_LINE, TAIL, Transcript
from gitdeploy.process import Command


def test_several_follow_one_log_from_where_they_like(tmp_path: Path) -> None:
    log = BuildLog(tmp_path / "log")
    log.line("first")
    heard: list[bytes] = [b""] * 3

    def follow(number: int) -> None:
        heard[number] = b"".join(log.follow(number))

    threads = [threading.Thread(target=follow, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for number in range(200):
        log.line(f"line {number}")
    log.close()
    for thread in threads:
        thread.join(10)
    whole = (tmp_path / "log").read_bytes()
    assert whole.endswith(b"line 199\n")
    assert heard == [whole, whole[1:], whole[2:]]
    assert b"".join(log.follow()) == b"".join(read(tmp_path / "log")) == whole
    assert b"".join(read(tmp_path / "log", 6)) == whole[6:]


def test_a_line_is_heard_while_the_build_goes_on(tmp_path: Path) -> None:
    with BuildLog(tmp_path / "log") as log:
        follower = log.follow()
        log.write(b"half")
        assert next(follower) == b"half"
        log.write(b" a line\n")
        assert next(follower) == b" a line\n"
    assert list(follower) == []


def test_one_who_waits_is_woken_by_the_next_line(tmp_path: Path) -> None:
    log = BuildLog(tmp_path / "log")
    heard: queue.Queue[bytes] = queue.Queue()

    def follow() -> None:
        for chunk in log.follow():
            heard.put(chunk)

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        for line in [b"a line\n"] * 500:
            log.write(line)
            assert heard.get(timeout=10) == line
    finally:
        log.close()
        thread.join(10)


def test_a_log_survives_the_daemon(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys; from gitdeploy.build.log import BuildLog;"
        "BuildLog(pathlib.Path(sys.argv[1])).line('before the crash'); os.kill(os.getpid(), 9)"
    )
    process.run(Command((sys.executable, "-c", script, str(tmp_path / "log"))))
    with BuildLog(tmp_path / "log") as log:
        log.line("after it")
    assert b"".join(read(tmp_path / "log")) == b"before the crash\nafter it\n"


def shown(*chunks: bytes, secrets: tuple[str, ...] = (), most: int = 10**6) -> bytes:
    out = bytearray()
    transcript = Transcript(out.extend, secrets, most=most)
    for chunk in chunks:
        transcript.feed(chunk)
    transcript.close()
    return bytes(out)


def test_characters_cut_by_a_chunk_and_wrong_bytes_are_readable() -> None:
    euro = "€".encode()
    assert shown(euro[:1], euro[1:] + b"\n") == "€\n".encode()
    assert shown(b"a\xffb\n", euro[:2]) == "a\ufffdb\n\ufffd\n".encode()


def test_colours_titles_and_progress_bars_are_left_out() -> None:
    assert shown(b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07ok\x00\n10%\r50%\rdone\r\n") == b"red ok\ndone\n"


def test_a_secret_hidden_by_control_codes_or_a_long_line_is_masked() -> None:
    assert shown(b"hun\x1b[0mter22\n", secrets=("hunter22",)) == b"[redacted]\n"
    filler = b"x" * (LONGEST_LINE - 4)
    assert b"ter22" not in shown(filler + b"hunter22\n", secrets=("hunter22",))


def test_a_log_without_end_keeps_its_beginning_and_its_end() -> None:
    lines = [f"line {number}\n".encode() for number in range(100_000)]
    text = shown(*lines, most=4096)
    assert text.startswith(b"line 0\n") and text.endswith(b"line 99999\n")
    assert b"of output left out: a log holds 4KB]\n" in text
    assert len(text) < 4096 + TAIL + 200


def test_a_log_a_little_too_long_is_given_whole() -> None:
    lines = [b"0123456789\n"] * 1000
    assert shown(*lines, most=5000) == b"".join(lines)
