"""Which snapshots stay."""

from __future__ import annotations

from gitdeploy.domain.snapshot import KEEP_AUTOMATIC, Snapshot, worth_keeping


def taken(number: int, cause: str = "before r2", *, verified: str = "", pinned: bool = False) -> Snapshot:
    return Snapshot(
        id=f"snap_{number}", site="blog", number=number, env="production", created_at="", actor="maya", artifact="",
        bytes=0, files=0, stored=0, release=1, databases="{}", cause=cause, verified=verified, pinned=pinned,
    )  # fmt: skip


def test_what_was_asked_for_or_pinned_stays_and_of_the_rest_the_newest():
    many = [taken(number) for number in range(3, 30)]
    kept = worth_keeping([taken(1, "asked"), taken(2, pinned=True), *many], scheduled=0)
    assert kept == {1, 2, *range(30 - KEEP_AUTOMATIC, 30)}


def test_the_newest_proven_one_stays_however_old():
    many = [taken(number) for number in range(3, 30)]
    assert 2 in worth_keeping([taken(1, verified="{}"), taken(2, verified="{}"), *many], scheduled=0)
    assert 1 not in worth_keeping([taken(1, verified="{}"), taken(2, verified="{}"), *many], scheduled=0)


def test_of_what_a_schedule_asked_for_as_many_stay_as_its_site_says():
    many = [taken(number, "scheduled") for number in range(1, 30)]
    others = [taken(number) for number in range(30, 33)]
    assert worth_keeping([*many, *others], scheduled=5) == {*range(25, 30), 30, 31, 32}
