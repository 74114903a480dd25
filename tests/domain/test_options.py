"""Push options: known ones are parsed, others are refused with the nearest known one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitdeploy.domain.options import REASON_MAX, Options, parse
from gitdeploy.errors import Invalid

FLAGS = ("detach", "cancel-on-hangup", "dry-run", "skip", "no-cache", "resume")


@pytest.mark.parametrize("flag", ["wait", *FLAGS])
def test_a_flag_is_set_by_naming_it(flag):
    assert getattr(parse([flag]), flag.replace("-", "_")) is True


def test_values():
    assert parse(["reason=a=b c", "env=staging"]) == Options(reason="a=b c", env="staging")
    assert parse([]) == Options()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("resaon=x", "reason"), ("enviroment=x", "env"), ("dryrun", "dry-run"), ("dettach", "detach"), ("SKIP", "skip"),
     ("no_cache", "no-cache"), ("cancel-on-hangups", "cancel-on-hangup")],
)  # fmt: skip
def test_a_slip_names_the_nearest_option(wrong, right):
    with pytest.raises(Invalid) as refused:
        parse([wrong])
    assert right in refused.value.hint


def test_nonsense_lists_all_options():
    with pytest.raises(Invalid) as refused:
        parse(["zzzzzzzz"])
    assert all(name in refused.value.hint for name in ("reason=", "env=", *FLAGS))


@pytest.mark.parametrize(
    "wrong", ["reason", "reason=", "env=", "skip=1", "wait=", "", "=x", "at=2026-01-01", "ticket="]
)
def test_what_is_half_said_is_refused(wrong):
    with pytest.raises(Invalid) as refused:
        parse([wrong])
    assert refused.value.hint


def test_a_reason_has_a_limit():
    assert len(parse(["reason=" + "x" * REASON_MAX]).reason) == REASON_MAX
    with pytest.raises(Invalid):
        parse(["reason=" + "x" * (REASON_MAX + 1)])


def test_contradictions_are_refused():
    with pytest.raises(Invalid):
        parse(["wait", "detach"])


@given(st.sets(st.sampled_from(FLAGS)), st.text(min_size=0, max_size=50), st.text(max_size=20))
def test_options_survive_being_kept(flags, reason, env):
    said = [*flags, *([f"reason={reason}"] if reason else []), *([f"env={env}"] if env else [])]
    options = parse(said)
    assert parse(options.as_list()) == options


@given(st.lists(st.text(max_size=40), max_size=4))
def test_anything_else_is_parsed_or_refused_in_a_sentence(words):
    try:
        parse(words)
    except Invalid as refused:
        assert refused.message
