"""Who may act, by what the place says."""

from __future__ import annotations

import pytest
from support import eventually

from gitdeploy.domain.term import Claim
from gitdeploy.errors import Failed, GitdeployError
from gitdeploy.service import promotion
from gitdeploy.service.lead import Lead, held
from gitdeploy.service.teller import Teller
from gitdeploy.store import ids
from gitdeploy.store.elsewhere import elsewhere
from gitdeploy.store.home import Home
from gitdeploy.store.terms import Terms


@pytest.fixture
def started(tmp_path):
    """A function that starts the server of the one home."""
    home = Home(tmp_path / "home")
    home.root.mkdir()
    (tmp_path / "place").mkdir()
    return lambda: Lead(Terms(elsewhere(str(tmp_path / "place"), {})), home, 0.4)


def acts(lead: Lead) -> bool:
    lead.look()
    return lead.confirmed


def test_a_place_that_does_not_know_the_claim_is_not_acted_by(started, tmp_path):
    """As where the shared disk is not mounted when the machine is back, and an empty folder lies there."""
    place, home = tmp_path / "place", Home(tmp_path / "home")
    first = started()
    assert not acts(first)
    eventually(lambda: acts(first), seconds=20)
    assert acts(started())
    terms = Terms(elsewhere(str(place), {}))
    terms.write(Claim(2, ids.new("srv"), "other", 0.4))
    assert not acts(started())

    place.rename(mounted := tmp_path / "mounted")
    place.mkdir()
    again = started()
    for _ in range(2):
        with pytest.raises(Failed, match="does not know this server"):
            again.look()
        assert not again.confirmed and not any(place.iterdir())
    claim = Claim(3, ids.new("srv"))
    with pytest.raises(Failed, match="knows no server"):
        promotion.take_over(home, claim, terms, lambda: None, Teller())
    place.rmdir()
    mounted.rename(place)
    assert not acts(again) and again.overtaken and again.overtaken.host == "other"


def test_the_first_claim_is_made_once_and_waited_for_however_often_it_is_interrupted(started, tmp_path):
    place = tmp_path / "place"
    (place / "terms").symlink_to("not-there")
    with pytest.raises(GitdeployError):
        started().look()
    name = held(Home(tmp_path / "home"))
    assert name
    (place / "terms").unlink()
    for _ in range(2):
        again = started()
        assert not acts(again), "nobody else has had the time to see it"
    eventually(lambda: acts(again), seconds=20)
    assert acts(started())
    assert [path.name for path in (place / "terms").iterdir()] == [name]
