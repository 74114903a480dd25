"""The proc-receive conversation, as git holds it."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitdeploy.domain.refs import Update
from gitdeploy.errors import Failed
from gitdeploy.git.pktline import read_list, write_list
from gitdeploy.git.receive import Answer, answer, hear, parse_update

A, B = "a" * 40, "b" * 40


def said(capabilities: bytes, *options: bytes) -> io.BytesIO:
    update = f"{A} {B} refs/heads/main".encode()
    text = write_list([b"version=1\0" + capabilities]) + write_list([update])
    return io.BytesIO(text + (write_list(options) if b"push-options" in capabilities else b""))


def test_git_offers_and_we_take_only_what_it_offers():
    ours = io.BytesIO()
    offer = hear(said(b"push-options atomic object-format=sha1", b"reason=x", b"wait"), ours)
    assert offer.updates == (Update(A, B, "refs/heads/main"),)
    assert offer.options == ("reason=x", "wait")
    assert offer.atomic
    ours.seek(0)
    assert read_list(ours) == [b"version=1\0push-options atomic"]


def test_without_options_none_are_read():
    ours = io.BytesIO()
    offer = hear(said(b""), ours)
    assert (offer.options, offer.atomic) == ((), False)
    ours.seek(0)
    assert read_list(ours) == [b"version=1\0"]


def test_another_version_is_refused():
    with pytest.raises(Failed):
        hear(io.BytesIO(write_list([b"version=2\0atomic"])), io.BytesIO())


def packets(*answers: Answer) -> list[bytes]:
    stream = io.BytesIO()
    answer(stream, answers)
    stream.seek(0)
    return read_list(stream)


def test_answers():
    moved = Update(A, B, "refs/releases/r1")
    assert packets(
        Answer("refs/heads/a"),
        Answer("refs/heads/b", reason="no:\nnot now"),
        Answer("refs/heads/c", fall_through=True),
        Answer("refs/heads/rollback/r1", moved=moved),
    ) == [
        b"ok refs/heads/a",
        b"ng refs/heads/b no: not now",
        b"ok refs/heads/c",
        b"option fall-through",
        b"ok refs/heads/rollback/r1",
        b"option refname refs/releases/r1",
        b"option old-oid " + A.encode(),
        b"option new-oid " + B.encode(),
    ]


@given(st.text(min_size=1))
def test_a_reason_is_one_line_that_steers_no_terminal(reason):
    (packet,) = packets(Answer("refs/heads/a", reason=reason))
    assert packet.startswith(b"ng refs/heads/a ")
    assert packet.decode().isprintable()


@given(st.binary(min_size=1, max_size=60).filter(lambda name: not set(name) & set(b"\n\0 ")))
def test_a_name_of_any_bytes_comes_back_as_it_was(name):
    update = parse_update(A.encode() + b" " + B.encode() + b" refs/heads/" + name + b"\n")
    assert packets(Answer(update.ref)) == [b"ok refs/heads/" + name]
