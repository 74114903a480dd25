"""The signing key: made once, readable by its owner alone, replaced without losing what it signed."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from gitdeploy.errors import Failed, NotProven
from gitdeploy.store.signing import Keys, pae


def test_a_signature_holds_in_another_instance(tmp_path: Path) -> None:
    envelope = Keys(tmp_path).sign("t", b"said")

    assert Keys(tmp_path).open(envelope, "t") == b"said"
    assert len(Keys(tmp_path).trusted()) == 1


def test_the_key_is_made_once_also_by_many_threads(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    threads = [threading.Thread(target=keys.sign, args=("t", b"x")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(keys.trusted()) == 1


def test_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    Keys(tmp_path / "keys").sign("t", b"x")

    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "keys" / "signing.pem").stat().st_mode) == 0o600


def test_what_an_earlier_key_signed_still_counts(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    before = keys.sign("t", b"old")

    new = keys.rotate()
    after = keys.sign("t", b"new")

    assert new in Keys(tmp_path).trusted()
    assert Keys(tmp_path).open(before, "t") == b"old"
    assert Keys(tmp_path).open(after, "t") == b"new"
    assert new.encode() in after
    assert new.encode() not in before


def test_a_key_that_is_no_longer_trusted_does_not_count(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    envelope = keys.sign("t", b"x")
    (old,) = keys.trusted()
    keys.rotate()
    (tmp_path / "trusted" / f"{old}.pem").unlink()

    with pytest.raises(NotProven, match="No trusted key"):
        keys.open(envelope, "t")


def test_a_key_counts_only_under_its_own_id(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    envelope = keys.sign("t", b"x")
    (own,) = keys.trusted()
    (tmp_path / "trusted" / f"{own}.pem").rename(tmp_path / "trusted" / f"{'0' * 64}.pem")

    with pytest.raises(NotProven, match="No trusted key"):
        keys.open(envelope.replace(own.encode(), b"0" * 64), "t")


@pytest.mark.parametrize(
    "text", ["", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_an_unreadable_key_is_said_and_not_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / "signing.pem").write_text(text)

    with pytest.raises(Failed, match="cannot be read"):
        Keys(tmp_path).sign("t", b"x")

    assert (tmp_path / "signing.pem").read_text() == text


@pytest.mark.parametrize(
    "envelope",
    [
        b"",
        b"[]",
        b"null",
        b'{"payload": 1, "payloadType": "t", "signatures": []}',
        b'{"payload": "", "payloadType": "t", "signatures": []}',
        b'{"payload": "", "payloadType": "t", "signatures": [{"keyid": "../x", "sig": ""}]}',
        b'{"payload": "", "payloadType": "t", "signatures": [{"keyid": 1, "sig": ""}]}',
        b'{"payload": "!", "payloadType": "t", "signatures": []}',
    ],
)
def test_what_is_no_envelope_is_refused(tmp_path: Path, envelope: bytes) -> None:
    with pytest.raises(NotProven):
        Keys(tmp_path).open(envelope, "t")


def test_the_signed_bytes_are_those_of_the_dsse_specification() -> None:
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
