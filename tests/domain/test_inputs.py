"""What a rehearsal depended on, compared with what is so now."""

from __future__ import annotations

from gitdeploy.domain.rehearsal import HASH, Inputs, Rehearsal


def test_inputs_are_the_same_in_any_order_and_change_with_each_of_them():
    one = Inputs({"the configuration": "c3", "the artifact": "a" * 64})
    assert one.digest == Inputs(dict(reversed(one.said.items()))).digest and len(one.digest) == HASH
    for name in one.said:
        assert Inputs({**one.said, name: "other"}).digest != one.digest
    assert Inputs({**one.said, "more": ""}).digest != one.digest


def test_what_changed_is_said_by_name_and_digests_are_cut():
    then = Inputs({"the configuration": "c3", "the artifact": "a" * 64, "the release command": "migrate"})
    now = Inputs({"the configuration": "c4", "the artifact": "b" * 64, "the shape of postgres": "s"})
    assert now.changed_since(then) == (
        f"the artifact was {'a' * 12} and is {'b' * 12}",
        "the configuration was c3 and is c4",
        "the release command was migrate and is nothing",
        "the shape of postgres was nothing and is s",
    )
    assert not then.changed_since(then)


def test_a_rehearsal_knows_again_what_it_depended_on():
    inputs = Inputs({"the configuration": "c3"})
    row = Rehearsal("reh_1", "blog", "production", "migration", "a" * 64, inputs.digest,
                    '{"the configuration": "c3"}', "", "maya", 1.0, 0.0, '{"health": "healthy"}')  # fmt: skip
    assert row.of == inputs and row.found == {"health": "healthy"}
    assert row.about == f"the migration of {'a' * 12} in production"
