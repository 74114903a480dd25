"""Names become folders and host names: refused at the door or made into an address nobody else has."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitdeploy.domain.host import HostName
from gitdeploy.domain.names import SITE_MAX, ActorName, SiteName, build_label, host, slug
from gitdeploy.errors import Invalid

sites = st.from_regex(r"[a-z0-9]([a-z0-9]|-(?=[a-z0-9])){0,29}", fullmatch=True).filter(
    lambda s: len(s) <= 30
)
branches = st.text(min_size=1, max_size=80) | st.from_regex(r"[A-Za-z/_-]{1,60}", fullmatch=True)


@pytest.mark.parametrize("name", ["blog", "a", "shop-2", "7", "x" * SITE_MAX])
def test_a_site_name_is_one_label(name):
    assert SiteName.parse(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "../x", "-rf", "rf-", "a..b", "a.b", "a--b", "Blog", "a b", "a\n", "blog\0", "ｂｌｏｇ", "café", "x" * 31,
     "x" * 300, "api", "v1", "/", "."],
)  # fmt: skip
def test_another_site_name_is_refused_with_what_is_allowed(name):
    with pytest.raises(Invalid) as refused:
        SiteName.parse(name)
    assert refused.value.hint
    assert refused.value.message.isprintable()


@pytest.mark.parametrize("name", ["", "-x", "a b", "a\n", "é", "x" * 65, "../x", "a/b", "a:b"])
def test_an_actor_cannot_be_confused_with_an_option_or_a_path(name):
    with pytest.raises(Invalid):
        ActorName.parse(name)


@pytest.mark.parametrize(
    ("branch", "label"),
    [("feature/checkout", "feature-checkout"), ("Fix_#12", "fix-12"), ("--x--", "x"), ("a//b", "a-b")],
)
def test_a_slug_is_the_branch_as_one_would_say_it(branch, label):
    assert slug(branch, site="blog") == label


@pytest.mark.parametrize("branch", ["", "///", "日本", "production", "Production", "bld-1", "x" * 32])
def test_a_slug_that_says_nothing_or_something_else_ends_in_a_hash(branch):
    assert re.search(r"(^|-)[0-9a-f]{6}$", slug(branch, site="blog"))


def test_twins_to_the_eye_have_addresses_of_their_own():
    composed = "caf\N{LATIN SMALL LETTER E WITH ACUTE}"
    twins = [composed, unicodedata.normalize("NFD", composed), "cafe", "CAFE", "caf/e", "caf-e", "caf_e"]
    taken: set[str] = set()
    for branch in twins:
        taken.add(slug(branch, site="blog", taken=frozenset(taken)))
    assert len(taken) == len(twins)


@given(sites, st.lists(branches, unique=True, max_size=12))
def test_every_branch_gets_a_host_name_that_no_other_has(site, names):
    taken: set[str] = set()
    for branch in names:
        label = slug(branch, site=site, taken=frozenset(taken))
        assert label not in taken
        taken.add(label)
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", label)
        assert "--" not in label
        assert label != "production"
        first = host(site, "localhost", label=label).partition(".")[0]
        assert len(first) <= 63
        assert HostName.asked(host(site, "localhost", label=label)) == host(site, "localhost", label=label)


def test_the_longest_address_fits_a_label():
    label = slug("x" * 200, site="s" * SITE_MAX)
    assert len(host("s" * SITE_MAX, "localhost", label=label).partition(".")[0]) <= 63
    build = build_label("bld_" + "0" * 26)
    assert len(host("s" * SITE_MAX, "localhost", label=build).partition(".")[0]) <= 63


@given(branches, st.text(alphabet="0123456789ABCDEFGHJKMNPQRSTVWXYZ", min_size=26, max_size=26))
def test_no_branch_takes_the_address_of_a_build(branch, ulid):
    label = build_label(f"bld_{ulid}")
    assert slug(branch, site="blog") != label
    assert slug(label, site="blog") != label


@pytest.mark.parametrize("branch", ["xn", "XN"])
def test_a_preview_is_never_taken_for_an_international_name(branch):
    assert HostName(host("blog", "localhost", label=slug(branch, site="blog"))).is_preview
