"""Who builds next."""

from __future__ import annotations

import contextlib
import threading

import pytest

from gitdeploy.build.builder import Canceled
from gitdeploy.domain.builder import Address, Builder
from gitdeploy.errors import Invalid
from gitdeploy.service.crew import Crew

ATLAS, BOLT = (Builder(name, "ssh://b@h:22", places, "", "") for name, places in (("atlas", 4), ("bolt", 1)))


def test_the_builder_with_the_most_room_and_this_machine_only_when_none_can_be_reached():
    crew, cancel = Crew(), threading.Event()

    def place(without=()):
        return crew.place(lambda: [ATLAS, BOLT], 1, without, cancel)

    with contextlib.ExitStack() as held:
        names = [held.enter_context(place()).name for _ in range(5)]
        assert names == ["atlas", "bolt", "atlas", "atlas", "atlas"]
        assert crew.state("atlas") == (4, "")
        cancel.set()
        with pytest.raises(Canceled):
            held.enter_context(place())  # all are busy, and none is away: this machine does not build
        assert held.enter_context(place({"atlas", "bolt"})) is None
        with pytest.raises(Canceled):
            held.enter_context(place({"atlas", "bolt"}))  # its one place is taken
        cancel.clear()
    crew.lost("atlas", "it hung up")
    assert crew.state("atlas") == (0, "it hung up")
    with place() as first:
        assert first is BOLT
    crew.lost("bolt", "it hung up")
    with place() as here:
        assert here is None
    crew.found("atlas")
    with place() as again:
        assert again is ATLAS


def test_a_place_is_given_on_when_it_is_free():
    crew = Crew()
    got = threading.Event()

    def other() -> None:
        with crew.place(lambda: [BOLT], 1, (), threading.Event()):
            got.set()

    with crew.place(lambda: [BOLT], 1, (), threading.Event()):
        thread = threading.Thread(target=other)
        thread.start()
        assert not got.is_set()
    assert got.wait(20)
    thread.join()


@pytest.mark.parametrize("text", ["ssh://h", "ssh://-o@h", "ssh://u@-h", "ssh://u@h:0", "ssh://u@h:99999", "u@h",
                                  "ssh://u@h x", "ssh://u@h/path", "ssh://u:p@h", "https://u@h"])  # fmt: skip
def test_what_is_no_address_is_refused(text):
    with pytest.raises(Invalid):
        Address.parse(text)


def test_an_address_says_its_port():
    assert str(Address.parse("ssh://build@10.0.0.7")) == "ssh://build@10.0.0.7:22"
    assert Address.parse("ssh://b@[::1]:2222") == Address("b", "::1", 2222)
    assert str(Address.parse("ssh://b@[::1]:2222")) == "ssh://b@[::1]:2222"
