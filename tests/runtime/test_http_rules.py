"""The header fields that decide how a file is sent."""

from __future__ import annotations

import pytest

from gitdeploy.runtime.edge import http_rules


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-0", range(1)),
        ("bytes=5-", range(5, 10)),
        ("bytes=-3", range(7, 10)),
        ("bytes=-99", range(10)),
        ("bytes=2-99", range(2, 10)),
        (" bytes = 2 - 3 ", range(2, 4)),
        ("bytes=0-1,3-4", None),
        ("bytes=-", None),
        ("bytes=4-2", None),
        ("bytes=a-b", None),
        ("chunks=0-1", None),
        ("bytes=" + "9" * 400 + "-", None),
        ("bytes=٣-", None),
    ],
)
def test_one_range_or_the_whole(header: str, part: range | None) -> None:
    assert http_rules.byte_range(header, None, '"t"', 10) == part


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-12", "bytes=-0"])
def test_a_range_behind_the_end(header: str) -> None:
    with pytest.raises(http_rules.Unsatisfiable):
        http_rules.byte_range(header, None, '"t"', 10)


@pytest.mark.parametrize(
    ("if_range", "kept"), [('"t"', True), ('W/"t"', False), ("Fri, 01 Jan 2100 00:00:00 GMT", False)]
)
def test_if_range_compares_strongly_and_believes_no_date(if_range: str, kept: bool) -> None:
    assert (http_rules.byte_range("bytes=0-1", if_range, '"t"', 10) is not None) == kept


@pytest.mark.parametrize("header", ["gzip", "br, GZIP;q=0.5", "x-gzip", "*", "gzip;q=nonsense", "br,gzip"])
def test_who_takes_gzip(header: str) -> None:
    assert http_rules.accepts_gzip(header)


@pytest.mark.parametrize(
    "header", ["", "identity", "gzip;q=0", "gzip; q=0.000, *", "*;q=0", "gzip;q=0..1", "gzipped"]
)
def test_who_does_not(header: str) -> None:
    assert not http_rules.accepts_gzip(header)


def test_a_tag_differs_when_time_or_size_does() -> None:
    tags = {
        http_rules.etag(mtime, size)
        for mtime in (946_684_800, 946_684_801, 1_483_555_711)
        for size in (0, 35, 36)
    }
    assert len(tags) == 9
    assert http_rules.etag(1_000_000_000, 3193) == '"gjdgxs2gp"'
