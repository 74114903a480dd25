from __future__ import annotations

import pytest

from gitdeploy.domain.role import EVERY_SITE, SOMEWHERE, Actor, Part, Role
from gitdeploy.errors import Refused

ANA = Actor("ana", (("blog", Role.DEVELOPER),), (Part("blog", "staging", Role.MAINTAINER),))
CAL = Actor("cal", (), (Part("blog", "feature/*", Role.DEVELOPER),))


@pytest.mark.parametrize(
    ("who", "env", "role"),
    [
        (ANA, "", Role.DEVELOPER), (ANA, "staging", Role.MAINTAINER), (ANA, "production", Role.DEVELOPER),
        (ANA, SOMEWHERE, Role.MAINTAINER), (CAL, "", Role.VIEWER), (CAL, "feature/x", Role.DEVELOPER),
        (CAL, "feature/x/y", Role.VIEWER), (CAL, "production", Role.VIEWER), (CAL, SOMEWHERE, Role.DEVELOPER),
    ],
)  # fmt: skip
def test_a_role_in_a_part_of_a_site_holds_there(who, env, role):
    assert who.role("blog", env) == role
    assert who.role("shop", env) is None and who.role(EVERY_SITE, env) is None


def test_a_refusal_says_what_to_ask_for():
    with pytest.raises(Refused) as refused:
        ANA.need(Role.MAINTAINER, "blog", "change production", "production")
    assert refused.value.message == (
        "ana is developer of blog and may not change production: that needs maintainer."
    )
    assert refused.value.hint.endswith("grant ana maintainer --site blog --env 'production'")
    with pytest.raises(Refused) as refused:
        Actor("dan").need(Role.VIEWER, "blog", "see it")
    assert refused.value.hint.endswith("grant dan viewer --site blog")


def test_what_somebody_came_with_may_less_than_they():
    maya = Actor("maya", ((EVERY_SITE, Role.MAINTAINER), ("shop", Role.ADMIN)), ANA.parts)
    assert maya.within((), None) is maya
    low = maya.within((), Role.DEVELOPER)
    assert low.limited and low.role("shop") == low.role("blog", "staging") == Role.DEVELOPER
    here = maya.within(("blog",), None)
    assert here.role("blog", "staging") == Role.MAINTAINER and here.role("blog") == Role.MAINTAINER
    assert here.role("shop") is None and here.role(EVERY_SITE) is None
    assert maya.within(("shop",), Role.OPERATOR).role("shop") == Role.OPERATOR
    assert Actor("dan", (("shop", Role.ADMIN),)).within(("blog",), Role.ADMIN).known is False
    with pytest.raises(Refused) as refused:
        low.need(Role.MAINTAINER, "blog", "promote")
    assert "The token or key of maya is developer of blog" in refused.value.message
