"""Freeing the disk: what is kept or under way is never touched, the rest goes."""

from __future__ import annotations

import random
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from store_kit import blob, file, flip, publish, sealed, statement, stored_names

from gitdeploy.domain.digest import Digest
from gitdeploy.domain.manifest import Manifest
from gitdeploy.errors import NotFound, NotProven
from gitdeploy.store.artifacts import Store
from gitdeploy.store.home import Home
from gitdeploy.store.publish import NewFile


def test_what_is_not_kept_goes_and_the_bytes_are_counted(store: Store, home: Home) -> None:
    kept = sealed(store, {"a": "shared", "b": "kept"})
    gone = sealed(store, {"a": "shared", "b": "x" * 5000})

    freed = store.collect(lambda: [kept.root])

    assert freed >= 5000
    assert store.verify(kept.root, "bld_1").files == 2
    assert stored_names(home) == kept.blobs
    assert not store.has(gone.root)
    with pytest.raises(NotFound):
        store.load(gone.root)
    assert store.collect(lambda: [kept.root]) == 0


def test_everything_may_go(store: Store, home: Home) -> None:
    sealed(store, {"a": "1"})

    store.collect(list)

    assert stored_names(home) == set()
    assert list((home.store / "artifacts").iterdir()) == []


def test_an_empty_home_can_be_collected(store: Store) -> None:
    assert store.collect(list) == 0


def test_unknown_artifacts_in_the_list_are_no_harm(store: Store) -> None:
    kept = sealed(store, {"a": "1"})

    store.collect(lambda: [kept.root, Digest.of(b"never stored")])

    assert store.verify(kept.root, "bld_1").files == 1


def test_a_kept_artifact_survives_those_it_was_built_upon(store: Store, home: Home) -> None:
    history = _history(store, 8)
    kept = [history[3], history[6], history[7]]

    store.collect(lambda: [one.root for one in kept])

    again = Store(home)
    assert [dict(again.load(one.root)) for one in kept] == [dict(one) for one in kept]
    assert len(list((home.store / "artifacts").iterdir())) == 3
    with again.publish([file("f2", "later")], base=again.load(history[7].root), removed=[]) as published:
        pass
    assert dict(Store(home).load(published.manifest.root)) == dict(published.manifest)


def test_a_change_upon_a_chain_whose_start_was_collected_loads_again(store: Store, home: Home) -> None:
    history = _history(store, 8)
    store.collect(lambda: [one.root for one in history[5:]])

    published = store.publish([file("f2", "later")], base=history[-1], removed=[])

    assert dict(Store(home).load(published.manifest.root)) == dict(published.manifest)


def test_changes_upon_a_collected_chain_load_again(store: Store, home: Home) -> None:
    history = _history(store, 30)
    store.collect(lambda: [history[-1].root, history[-2].root])
    manifest = history[-1]
    for number in range(40):
        manifest = store.publish([file("f9", f"more {number}")], base=manifest, removed=[]).manifest
        if number % 7 == 0:
            kept = manifest.root
            store.collect(lambda: [kept])  # noqa: B023 (called at once)

    assert dict(Store(home).load(manifest.root)) == dict(manifest)


def test_what_a_publish_holds_is_not_collected(store: Store) -> None:
    with publish(store, {"a": "1"}) as published:
        store.collect(list)
        store.attest(statement(published.manifest.root))
        assert store.verify(published.manifest.root, "bld_1").files == 1

    store.collect(list)
    assert not store.has(published.manifest.root)


def test_a_publish_that_nobody_has_any_more_holds_nothing(store: Store) -> None:
    root = publish(store, {"a": "1"}).manifest.root

    store.collect(list)

    assert not store.has(root)


def test_a_publish_under_way_keeps_what_it_reuses(store: Store, home: Home) -> None:
    sealed(store, {"old": "reused"})

    def files() -> Iterator[NewFile]:
        yield file("new", "reused")
        store.collect(list)
        yield file("more", "fresh")

    with store.publish_whole(files(), like=None) as published:
        store.attest(statement(published.manifest.root))

    assert Store(home).verify(published.manifest.root, "bld_1").files == 2


def test_a_publish_under_way_keeps_its_base(store: Store, home: Home) -> None:
    base = sealed(store, {f"f{number}": str(number) for number in range(100)})

    def files() -> Iterator[NewFile]:
        store.collect(list)
        yield file("f1", "changed")

    with store.publish(files(), base=base, removed=[]) as published:
        store.attest(statement(published.manifest.root))

    assert Store(home).verify(published.manifest.root, "bld_1").files == 100


def test_a_publish_under_way_keeps_what_it_is_like(store: Store, home: Home) -> None:
    like = sealed(store, {f"f{number}": str(number) for number in range(100)})

    def files() -> Iterator[NewFile]:
        store.collect(list)
        yield from (file(f"f{number}", str(number)) for number in range(99))

    with store.publish_whole(files(), like=like) as published:
        store.attest(statement(published.manifest.root))

    assert Store(home).verify(published.manifest.root, "bld_1").files == 99


def test_a_base_that_was_collected_is_refused(store: Store) -> None:
    base = sealed(store, {"a": "1"})
    store.collect(list)

    with pytest.raises(NotFound):
        store.publish([file("b", "2")], base=base, removed=[])


def test_what_is_recorded_while_the_list_is_made_is_kept(store: Store) -> None:
    recorded: list[Digest] = []

    def keep() -> list[Digest]:
        before = list(recorded)
        with publish(store, {"a": "late"}) as published:
            store.attest(statement(published.manifest.root))
            recorded.append(published.manifest.root)
        return before

    store.collect(keep)

    assert store.verify(recorded[0], "bld_1").files == 1


def test_a_damaged_kept_manifest_stops_the_collection_before_anything_goes(store: Store, home: Home) -> None:
    kept, other = sealed(store, {"a": "1"}), sealed(store, {"b": "2"})
    flip(home.store / "artifacts" / kept.root / "manifest.gz")

    with pytest.raises(NotProven):
        store.collect(lambda: [kept.root])

    assert store.verify(other.root, "bld_1").files == 1
    assert blob(home, kept, "a").exists()


def test_files_that_a_tree_still_serves_free_nothing_yet(store: Store) -> None:
    manifest = sealed(store, {"a": "x" * 5000})
    folder = store.materialise(manifest)

    assert store.collect(list) == 0
    assert (folder / "a").read_bytes() == b"x" * 5000


def test_publishing_and_collecting_at_once_loses_nothing(store: Store, home: Home) -> None:
    recorded: list[Digest] = []
    done = threading.Event()
    problems: list[BaseException] = []

    def work(seed: int) -> None:
        choice = random.Random(seed)
        try:
            for number in range(12):
                files = {f"f{choice.randrange(6)}": f"content {choice.randrange(12)}" for _ in range(4)}
                with publish(store, files) as published:
                    build = f"bld_{seed}_{number}"
                    store.attest(statement(published.manifest.root, build))
                    store.verify(published.manifest.root, build)
                    if number % 3 == 0:
                        recorded.append(published.manifest.root)
        except BaseException as error:
            problems.append(error)

    def sweep() -> None:
        try:
            while not done.is_set():
                store.collect(lambda: list(recorded))
        except BaseException as error:
            problems.append(error)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    sweeper = threading.Thread(target=sweep)
    for thread in (*workers, sweeper):
        thread.start()
    for thread in workers:
        thread.join()
    done.set()
    sweeper.join()

    assert problems == []
    assert Store(home).scrub() == []
    assert all(Store(home).load(root) for root in recorded)


@pytest.mark.soak
def test_fifty_releases_take_hardly_more_disk_than_their_files(
    store: Store, home: Home, tmp_path: Path
) -> None:
    content = random.Random(1)
    files = {
        f"s{number % 60}/page-{number}.html": content.randbytes(content.randrange(200, 6000))
        for number in range(6000)
    }
    unique = set(files.values())
    manifest = publish(store, files).manifest
    for _ in range(49):
        churn = {path: content.randbytes(3000) for path in content.sample(sorted(files), 60)}
        unique |= set(churn.values())
        with store.publish([file(*one) for one in churn.items()], base=manifest, removed=[]) as published:
            store.attest(statement(published.manifest.root))
        manifest = published.manifest
    plain = tmp_path / "plain"
    plain.mkdir()
    for number, data in enumerate(unique):
        (plain / str(number)).write_bytes(data)

    assert _disk(home.store) < 1.1 * _disk(plain)


def _disk(folder: Path) -> int:
    return int(
        subprocess.run(["du", "-sk", folder], capture_output=True, check=True, text=True).stdout.split()[0]
    )


def _history(store: Store, length: int) -> list[Manifest]:
    """Artifacts of 100 files, each one file apart from the one before."""
    history = [publish(store, {f"f{number}": str(number) for number in range(100)}).manifest]
    for number in range(length - 1):
        with store.publish([file("f1", f"v{number}")], base=history[-1], removed=[]) as published:
            history.append(published.manifest)
    return history
