"""Publishing: what lies on the disk afterwards, after a crash, on a full disk, with several at once."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from store_kit import blob, file, flip, link, publish, sealed, statement, stored_names

from gitdeploy.domain.digest import Digest
from gitdeploy.domain.manifest import EMPTY, Manifest
from gitdeploy.errors import Failed, Invalid, NotFound
from gitdeploy.store import durable
from gitdeploy.store.artifacts import Store
from gitdeploy.store.home import Home
from gitdeploy.store.publish import NewFile


def test_a_blob_is_the_files_bytes_under_their_hash(store: Store, home: Home) -> None:
    manifest = publish(store, {"index.html": "hello", "empty": ""}).manifest

    path = blob(home, manifest, "index.html")
    found = path.stat()

    assert path.name == hashlib.sha256(b"hello").hexdigest()
    assert path.read_bytes() == b"hello"
    assert stat.S_IMODE(found.st_mode) == 0o444
    assert blob(home, manifest, "empty").read_bytes() == b""


def test_blobs_of_equal_size_have_different_times(store: Store, home: Home) -> None:
    manifest = publish(store, {"a": "one", "b": "two"}).manifest

    times = [blob(home, manifest, path).stat().st_mtime_ns for path in "ab"]

    assert times[0] != times[1]
    digest = hashlib.sha256(b"one").hexdigest()
    assert times[0] == (946_684_800 + (int(digest[:8], 16) >> 3)) * 10**9


def test_the_mode_of_blobs_does_not_depend_on_the_umask(store: Store, home: Home) -> None:
    before = os.umask(0o077)
    try:
        manifest = publish(store, {"a": "x"}).manifest
    finally:
        os.umask(before)

    assert stat.S_IMODE(blob(home, manifest, "a").stat().st_mode) == 0o444


def test_equal_files_are_stored_once(store: Store, home: Home) -> None:
    first = publish(store, {"a": "same", "b": "same"})
    inode = blob(home, first.manifest, "a").stat().st_ino
    second = publish(store, {"c": "same"})

    assert len(stored_names(home)) == 1
    assert blob(home, second.manifest, "c").stat().st_ino == inode


def test_a_second_store_on_the_same_home_has_it_all(store: Store, home: Home) -> None:
    manifest = sealed(store, {"a": "1", "d/ü ": "2"})

    again = Store(home)

    assert dict(again.load(manifest.root)) == dict(manifest)
    assert again.verify(manifest.root, "bld_1").statement == statement(manifest.root)


def test_an_artifact_that_is_not_there_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound, match="is not in the store"):
        store.load(Digest.of(b"nothing"))


def test_changes_are_put_upon_a_base(store: Store, home: Home) -> None:
    base = publish(store, {"keep": "1", "change": "2", "go": "3"}).manifest

    published = store.publish(
        [file("change", "4"), file("new", "5", executable=True)], base=base, removed=[b"go"]
    )

    assert {path: entry.kind for path, entry in published.manifest.items()} == {
        b"change": "file", b"keep": "file", b"new": "exec",
    }  # fmt: skip
    assert published.fresh == {Digest.of(b"4"), Digest.of(b"5")}
    assert Store(home).load(published.manifest.root) == published.manifest


def test_an_empty_site_can_be_published(store: Store, home: Home) -> None:
    published = store.publish([], base=None, removed=[])

    assert Store(home).load(EMPTY.root) == published.manifest


def test_long_chains_of_small_changes_load_again(store: Store, home: Home) -> None:
    manifest = publish(store, {f"f{number}": str(number) for number in range(100)}).manifest
    history = [manifest]
    for number in range(80):
        manifest = store.publish([file("f1", f"v{number}")], base=manifest, removed=[]).manifest
        history.append(manifest)

    again = Store(home)

    sizes = [(home.store / "artifacts" / one.root / "manifest.gz").stat().st_size for one in history]
    assert sorted(sizes)[len(sizes) // 2] < sizes[0] / 10
    assert all(dict(again.load(one.root)) == dict(one) for one in reversed(history))


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../b"])
def test_a_path_that_leads_out_publishes_nothing(store: Store, home: Home, path: str) -> None:
    with pytest.raises(Invalid):
        store.publish_whole([file("a", "x"), file(path, "y")], like=None)

    assert not (home.store / "artifacts").exists()


def test_a_dangling_link_publishes_nothing(store: Store, home: Home) -> None:
    with pytest.raises(Invalid, match="which is not there"):
        store.publish_whole([link("a", "nowhere")], like=None)

    assert not (home.store / "artifacts").exists()


def test_the_same_path_twice_is_refused(store: Store) -> None:
    with pytest.raises(Invalid, match="a is there twice"):
        store.publish_whole([file("a", "x"), file("a", "x")], like=None)


def test_a_failing_source_leaves_nothing_behind(store: Store, home: Home) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * 100
        yield b"y"
        raise Failed("The source went away.")

    with pytest.raises(Failed, match="went away"):
        store.publish_whole([file("a", "kept"), NewFile(b"b", "file", broken())], like=None)

    assert list((home.store / "incoming").iterdir()) == []
    assert not (home.store / "blobs").exists()


def test_publishing_again_mends_a_damaged_blob(store: Store, home: Home) -> None:
    manifest = sealed(store, {"a": "right"})
    flip(blob(home, manifest, "a"))

    sealed(store, {"a": "right"})

    assert store.verify(manifest.root, "bld_1").files == 1


def test_publishing_again_mends_a_damaged_manifest(store: Store, home: Home) -> None:
    manifest = sealed(store, {"a": "right"})
    flip(home.store / "artifacts" / manifest.root / "manifest.gz")

    sealed(store, {"a": "right"})

    assert store.verify(manifest.root, "bld_1").files == 1


def test_a_large_file_is_never_in_memory(home: Home, tmp_path: Path) -> None:
    size = 200 << 20
    code = f"""
import resource, sys
from pathlib import Path
from gitdeploy.store.artifacts import Store
from gitdeploy.store.home import Home
from gitdeploy.store.output_folder import folder_files
store = Store(Home(Path({str(home.root)!r})))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
manifest = store.publish_whole(folder_files(Path({str(tmp_path / "out")!r})), like=None).manifest
print(manifest.bytes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    (tmp_path / "out").mkdir()
    with open(tmp_path / "out" / "big", "wb") as big:
        big.truncate(size)

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)

    stored, grown = map(int, done.stdout.split())
    assert stored == size
    assert grown * 1024 < size / 10


@pytest.mark.parametrize("count", [3, 100])
def test_bytes_are_on_the_disk_before_they_have_a_name(
    store: Store, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    done: list[tuple[str, str]] = []
    fsync, rename, flush_all = os.fsync, os.rename, durable.sync_filesystem

    def seen_fsync(fd: int) -> None:
        done.append(("flushed", str(Path(f"/proc/self/fd/{fd}").readlink())))
        fsync(fd)

    def seen_rename(source: str | Path, target: str | Path) -> None:
        done.append(("named", os.fspath(target)))
        assert ("flushed", os.fspath(source)) in done or ("flushed", "all") in done, f"{target} may be torn"
        rename(source, target)

    def seen_flush_all(folder: Path) -> None:
        done.append(("flushed", "all"))
        flush_all(folder)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "rename", seen_rename)
    monkeypatch.setattr(durable, "sync_filesystem", seen_flush_all)
    manifest = publish(store, {str(number): f"content {number}" for number in range(count)}).manifest

    named = [Path(path) for what, path in done if what == "named"]
    assert {path.name for path in named[:-1]} == manifest.blobs
    assert named[-1].name == "manifest.gz"
    after_blobs = done[done.index(("named", str(named[-2]))) : done.index(("named", str(named[-1])))]
    folders = {("flushed", str(path.parent)) for path in named[:-1]}
    assert ("flushed", "all") in after_blobs or folders <= set(after_blobs), "a blob's name may be lost"


def test_a_full_disk_publishes_nothing_and_leaves_the_rest(small_disk: Path) -> None:
    home = Home(small_disk / "home")
    store = Store(home)
    kept = sealed(store, {"a": "kept"})
    noise = random.Random(1).randbytes(600_000)
    pieces = [NewFile(b"big%d" % number, "file", (noise, b"%d" % number)) for number in range(5)]

    with pytest.raises(Failed, match="disk is full"):
        store.publish(pieces, base=kept, removed=[])

    assert list((home.store / "incoming").iterdir()) == []
    assert list((home.store / "artifacts").iterdir()) == [home.store / "artifacts" / kept.root]
    store.verify(kept.root, "bld_1")
    sealed(store, {"b": "there is room again"})


def test_a_full_disk_at_the_manifest_publishes_nothing(small_disk: Path) -> None:
    home = Home(small_disk / "home")
    store = Store(home)
    sealed(store, {"a": "kept"})
    files = {f"{number}-{'x' * 200}": "" for number in range(20_000)}
    free = os.statvfs(small_disk)
    (small_disk / "ballast").write_bytes(b"\0" * ((free.f_bavail - 8) * free.f_frsize))

    with pytest.raises(Failed, match="disk is full"):
        publish(store, files)

    assert Store(home).scrub() == []


_KILLED = """
import sys
from pathlib import Path
from gitdeploy.store.artifacts import Store
from gitdeploy.store.home import Home
from gitdeploy.store.publish import NewFile

def files():
    for number in range(10**9):
        if number == 50:
            print("under way", flush=True)
        yield NewFile(b"f%d" % number, "file", (b"content %d" % number,))

Store(Home(Path(sys.argv[1]))).publish_whole(files(), like=None)
"""


def test_a_killed_publish_leaves_only_whole_blobs_and_is_cleaned_up(store: Store, home: Home) -> None:
    kept = sealed(store, {"f1": "content 1"})
    with subprocess.Popen([sys.executable, "-c", _KILLED, str(home.root)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"under way\n"
        (left,) = (home.store / "incoming").iterdir()
        Store(home).collect(lambda: [kept.root])
        assert left.exists(), "a living batch was taken for a dead one"
        child.send_signal(signal.SIGKILL)

    again = Store(home)
    sealed(again, {"g": "next"}, "bld_2")

    assert not left.exists()
    assert again.scrub() == []


_KILLED_IN_COMMIT = """
import os, signal, sys
from pathlib import Path
from gitdeploy.store import durable
from gitdeploy.store.artifacts import Store
from gitdeploy.store.home import Home
from gitdeploy.store.publish import NewFile

calls = int(sys.argv[2])

def killing(do):
    def call(*arguments, **options):
        global calls
        calls -= 1
        if calls < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return do(*arguments, **options)
    return call

for name in ("rename", "fsync", "open", "mkdir", "link", "symlink"):
    setattr(os, name, killing(getattr(os, name)))
store = Store(Home(Path(sys.argv[1])))
published = store.publish([NewFile(b"d/%d" % n, "file", (b"new %d" % n,)) for n in range(3)], base=None, removed=[])
store.materialise(published.manifest)
print(published.manifest.root)
"""


def test_killed_at_any_step_the_store_stays_right(store: Store, home: Home) -> None:
    kept = sealed(store, {"a": "kept"})
    outcomes = set()
    step = 0
    while "finished" not in outcomes:
        done = subprocess.run(
            [sys.executable, "-c", _KILLED_IN_COMMIT, str(home.root), str(step)],
            capture_output=True,
            text=True,
        )
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        outcomes.add("finished" if done.returncode == 0 else "killed")
        again = Store(home)
        assert again.scrub() == []
        assert again.verify(kept.root, "bld_1").files == 1
        again.collect(lambda: [kept.root])
        assert stored_names(home) == set(kept.blobs)
        step += 3

    assert outcomes == {"killed", "finished"}


def test_several_publish_at_once(store: Store, home: Home) -> None:
    shared = {f"shared/{number}": f"same {number}" for number in range(200)}
    results: dict[int, Manifest] = {}

    def work(number: int) -> None:
        results[number] = sealed(store, {**shared, "own": str(number)}, f"bld_{number}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(results) == 6
    assert all(store.verify(one.root, f"bld_{number}").files == 201 for number, one in results.items())
    assert len(stored_names(home)) == 206
    assert store.scrub() == []
