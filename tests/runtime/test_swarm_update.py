"""Whether an update of a service is over, read from what the engine says of it."""

from __future__ import annotations

import pytest

from gitdeploy.domain.swarm import Unit
from gitdeploy.errors import Failed
from gitdeploy.runtime.swarm.service import has_arrived

OLD, NEW = (
    Unit("shop-production-web", "site", "production", "web", release, "reg/shop@sha256:1", "run", replicas=2)
    for release in ("r1", "r2")
)


def service(unit: Unit, state: str = "") -> dict:
    return {"Spec": {"Labels": unit.labels}, **({"UpdateStatus": {"State": state}} if state else {})}


def task(unit: Unit, state: str = "running", desired: str = "running") -> dict:
    return {
        "DesiredState": desired, "Status": {"State": state}, "Spec": {"ContainerSpec": {"Labels": unit.marks}},
    }  # fmt: skip


def test_an_update_that_has_not_begun_is_not_taken_for_the_one_before() -> None:
    before = [task(OLD), task(OLD)]
    assert not has_arrived(service(NEW, "completed"), before, NEW)
    assert not has_arrived(service(NEW), before, NEW)
    assert not has_arrived(service(NEW, "updating"), [*before, task(NEW), task(NEW)], NEW)
    assert not has_arrived(service(NEW, "completed"), [task(OLD), task(NEW)], NEW)
    assert not has_arrived(service(NEW, "completed"), [task(NEW), task(NEW, "starting")], NEW)


def test_it_is_over_when_all_that_should_run_is_new() -> None:
    gone = task(OLD, "shutdown", "shutdown")
    assert has_arrived(service(NEW, "completed"), [gone, task(NEW), task(NEW)], NEW)
    assert has_arrived(service(NEW), [task(NEW), task(NEW)], NEW)  # only the count was another


def test_what_was_taken_back_is_refused_once_that_is_over() -> None:
    both = [task(OLD), task(OLD), task(NEW, "failed", "shutdown")]
    assert not has_arrived(service(OLD, "rollback_started"), both, NEW)
    for state in ("rollback_completed", "rollback_paused"):
        with pytest.raises(Failed, match="took web back"):
            has_arrived(service(OLD, state), both, NEW)
    with pytest.raises(Failed, match="stuck"):
        has_arrived(service(NEW, "paused"), both, NEW)
