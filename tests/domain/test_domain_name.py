"""What somebody may type for a domain, and the one spelling it gets."""

from __future__ import annotations

import pytest

from gitdeploy.domain.domain_name import DomainName
from gitdeploy.errors import Invalid


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("example.org", "example.org"),
        ("WWW.Example.ORG", "www.example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("straße.de", "xn--strae-oqa.de"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("ｅｘａｍｐｌｅ.org", "example.org"),
        ("a.b.c.d.example", "a.b.c.d.example"),
        ("1.example", "1.example"),
    ],
)
def test_a_domain_has_one_spelling(typed: str, meant: str) -> None:
    assert DomainName.parse(typed) == meant


@pytest.mark.parametrize(
    "typed",
    [
        "", ".", "org", "example.org.", ".example.org", "a..b", "-a.example", "a-.example", "a_b.example",
        "*.example.org", "https://example.org", "example.org/", "example.org:80", "a b.example", "192.0.2.7",
        "2001:db8::1", "[::1]", "a\n.example", "a\0.example", "../live", f"{'a' * 64}.example",
        ".".join(["abcdefghi"] * 26), "xn--.example", "xn--a.example", "ab--cd.example", "my--shop.example",
    ],
)  # fmt: skip
def test_what_is_no_domain_is_refused_with_what_is_allowed(typed: str) -> None:
    with pytest.raises(Invalid) as refused:
        DomainName.parse(typed)
    assert refused.value.hint


def test_every_domain_has_one_other_name() -> None:
    for name, other in (
        ("example.org", "www.example.org"),
        ("www.example.org", "example.org"),
        ("www.org", "www.www.org"),
        ("www.www.org", "www.org"),
        ("wwwx.org", "www.wwwx.org"),
    ):
        assert DomainName.parse(name).other == other


def test_what_belongs_to_the_server_is_told_by_whole_labels() -> None:
    assert DomainName("a.example.org").is_within("example.org")
    assert DomainName("example.org").is_within("example.org")
    assert not DomainName("myexample.org").is_within("example.org")
