"""Sealed files: read with the key alone, and only as they were."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitdeploy.errors import Failed, NotProven
from gitdeploy.store.sealing import FRAME, Sealing


@pytest.fixture(scope="module")
def sealing(tmp_path_factory):
    return Sealing(tmp_path_factory.mktemp("keys") / "snapshots.key")


@settings(max_examples=40, deadline=None)
@given(pieces=st.lists(st.binary(max_size=200), max_size=6))
def test_what_is_sealed_can_be_opened_however_it_is_cut(sealing, pieces):
    sealed = b"".join(sealing.seal(pieces))
    assert b"".join(sealing.open(bytes([one]) for one in sealed)) == b"".join(pieces)


@pytest.mark.parametrize("size", [0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME])
def test_frames_end_where_they_should(sealing, size):
    plain = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    sealed = b"".join(sealing.seal([plain]))
    assert b"".join(sealing.open([sealed])) == plain
    assert plain[:40] not in sealed or not plain


def test_equal_files_are_sealed_alike_and_a_change_touches_its_frame_alone(sealing):
    plain = b"a" * FRAME + b"b" * FRAME + b"c"
    one = b"".join(sealing.seal([plain]))
    assert one == b"".join(sealing.seal([plain[:100], plain[100:]]))
    other = b"".join(sealing.seal([plain.replace(b"b", b"B", 1)]))
    frame = FRAME + 17
    assert one[:frame] == other[:frame]
    assert one[frame : 2 * frame] != other[frame : 2 * frame]
    assert one[2 * frame :] == other[2 * frame :]


def test_nothing_is_opened_that_was_changed_moved_or_cut_off(sealing):
    sealed = b"".join(sealing.seal([b"a" * FRAME + b"b" * FRAME + b"c"]))
    frame = FRAME + 17
    flipped = bytearray(sealed)
    flipped[5000] ^= 1
    for broken in (
        bytes(flipped), sealed[:-1], sealed[: 2 * frame], b"",
        sealed[frame : 2 * frame] + sealed[:frame] + sealed[2 * frame :],
    ):  # fmt: skip
        with pytest.raises(NotProven):
            list(sealing.open([broken]))


def test_another_key_opens_nothing_and_no_key_says_so(sealing, tmp_path):
    sealed = b"".join(sealing.seal([b"secret"]))
    other = Sealing(tmp_path / "other" / "snapshots.key")
    with pytest.raises(Failed, match="not there"):
        list(other.open([sealed]))
    assert other.key_id != sealing.key_id
    with pytest.raises(NotProven, match="another key"):
        list(other.open([sealed]))
    assert (tmp_path / "other" / "snapshots.key").stat().st_mode & 0o777 == 0o600
