from __future__ import annotations

import base64
import itertools
import json
import re
from urllib.parse import quote

import pytest

from gitdeploy.domain.mask import Masker

SECRET = "s3cr3t/Token+with ünïcode"


def masked(data: bytes, *secrets: str, size: int = 0) -> bytes:
    masker = Masker(secrets or (SECRET,))
    chunks = [data[at : at + size] for at in range(0, len(data), size)] if size else [data]
    return b"".join(masker.feed(chunk) for chunk in chunks) + masker.flush()


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7])
def test_a_secret_is_masked_plain_url_encoded_and_in_json(size: int) -> None:
    for form in (
        SECRET,
        quote(SECRET, safe=""),
        re.sub("%..", lambda match: match[0].lower(), quote(SECRET)),
        json.dumps(SECRET)[1:-1],
    ):
        assert masked(f"a={form};\n".encode(), size=size) == b"a=[redacted];\n"


@pytest.mark.parametrize(("before", "size"), list(itertools.product(range(6), [0, 1, 5])))
def test_a_secret_is_masked_wherever_it_stands_in_base64(before: int, size: int) -> None:
    text = base64.b64encode(b"x" * before + SECRET.encode() + b"tail")
    shown = masked(text, size=size)
    assert b"[redacted]" in shown
    # At most the characters that also hold bits of a neighbour are left.
    left = b"".join(
        base64.b64decode(part + b"=" * (-len(part) % 4))
        for part in shown.split(b"[redacted]")
        if len(part) % 4 != 1
    )
    assert not any(piece in left for piece in (b"s3c", b"cod"))


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_secret_encoded_alone_leaves_nothing(end: str) -> None:
    assert masked(base64.b64encode((SECRET + end).encode())) == b"[redacted]"
    assert masked(base64.urlsafe_b64encode((SECRET + end).encode())) == b"[redacted]"


def test_base64_broken_into_lines_is_masked() -> None:
    key = "".join(chr(33 + number % 90) for number in range(300))
    wrapped = base64.encodebytes(key.encode())
    assert wrapped.count(b"\n") > 3
    assert masked(wrapped, key, size=11).strip() == b"[redacted]"


def test_each_line_of_a_key_is_masked() -> None:
    key = "-----BEGIN KEY-----\nMIIEvAIBADANBgkqhkiG\n9w0BAQEFAASCBKYwggSi\n-----END KEY-----\n"
    assert (
        masked(b"1: MIIEvAIBADANBgkqhkiG\n2: 9w0BAQEFAASCBKYwggSi\n", key)
        == b"1: [redacted]\n2: [redacted]\n"
    )
    assert b"MIIE" not in masked(key.encode(), key, size=4)


def test_a_line_is_not_held_back_without_need() -> None:
    masker = Masker(["hunter22"])
    assert masker.feed(b"hello h\n") == b"hello "
    assert masker.feed(b"i\n") == b"h\ni\n"
    assert masker.feed(b"done\n") == b"done\n"
    assert masker.feed(b"hunter2") == b""
    assert masker.flush() == b"hunter2"


def test_overlapping_beginnings_are_found() -> None:
    assert masked(b"aaaab aaaaab", "aaab", size=1) == b"a[redacted] aa[redacted]"


def test_the_longer_of_two_secrets_goes_whole() -> None:
    assert masked(b"token-extended token", "token", "token-extended") == b"[redacted] [redacted]"


def test_what_is_too_short_to_hide_is_left_alone() -> None:
    assert masked(b"a 1 b", "1", "", "abc") == b"a 1 b"


def test_any_cut_of_a_text_masks_the_same() -> None:
    text = (
        b"x "
        + SECRET.encode()
        + b" y "
        + base64.b64encode(SECRET.encode())
        + b"\n"
        + SECRET.encode()[:-1]
        + b"z\n"
    )
    whole = masked(text)
    assert not re.search(rb"s3cr3t/Token\+with \xc3\xbcn\xc3\xafcode", whole)
    for size in range(1, len(text)):
        assert masked(text, size=size) == whole
