"""Git's framing: what is written is read back, what is torn is told."""

from __future__ import annotations

import io
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitdeploy.errors import Failed
from gitdeploy.git.pktline import FLUSH, LONGEST, read_list, write_list


@given(st.lists(st.binary(max_size=200).filter(lambda packet: not packet.endswith(b"\n"))))
def test_what_is_written_is_read_back(packets):
    stream = io.BytesIO(write_list(packets) + b"rest")
    assert read_list(stream) == packets
    assert stream.read() == b"rest"


@given(st.binary(max_size=80))
def test_anything_else_is_read_or_told(data):
    try:
        read_list(io.BytesIO(data))
    except Failed as error:
        assert error.message.startswith("Git ")


@pytest.mark.parametrize("torn", [b"", b"00", b"0008ab", b"zzzz", b"0001", b"0003", b"0005a"])
def test_a_torn_stream_is_told(torn):
    with pytest.raises(Failed):
        read_list(io.BytesIO(torn))


def test_what_is_too_long_is_cut_and_stays_readable():
    assert read_list(io.BytesIO(write_list([b"x" * 70_000, b"next"]))) == [b"x" * LONGEST, b"next"]


def test_git_reads_it():
    words = ["git", "-c", "alias.x=!cat", "x"]
    assert subprocess.run(words, input=write_list([b"a"]), capture_output=True).stdout == b"0005a" + FLUSH
