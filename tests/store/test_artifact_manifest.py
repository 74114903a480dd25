"""Manifests: what is legal, the digest that names them, changes, differences and their text."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gitdeploy.domain.content_diff import diff
from gitdeploy.domain.digest import Digest
from gitdeploy.domain.manifest import EMPTY, Entry, Manifest
from gitdeploy.domain.manifest_text import delta_text, full_text, read
from gitdeploy.domain.tree import Folder
from gitdeploy.errors import Invalid

NAMES = st.one_of(
    st.sampled_from([b"a", b"b", b"A", b" ", b"\n", b"%41", b"\xff\xfe", b"gone", b"-", "é".encode()]),
    st.binary(min_size=1, max_size=6).filter(
        lambda name: not {0, 47} & set(name) and name not in (b".", b"..")
    ),
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(b"/".join)
ENTRIES = st.builds(
    lambda kind, content: Entry(kind, Digest.of(content), len(content)),
    st.sampled_from(["file", "exec"]),
    st.binary(max_size=2),
)


@st.composite
def trees(draw: st.DrawFn) -> dict[bytes, Entry]:
    """Paths with entries, none of them a folder of another."""
    found = draw(st.dictionaries(PATHS, ENTRIES, max_size=12))
    return {path: one for path, one in found.items() if not any(_above(other, path) for other in found)}


def _above(folder: bytes, path: bytes) -> bool:
    return path.startswith(folder + b"/")


@given(trees())
def test_a_manifest_holds_what_it_was_made_of(entries: dict[bytes, Entry]) -> None:
    manifest = Manifest.of(entries)

    assert dict(manifest) == entries
    assert len(manifest) == manifest.files == len(entries)
    assert manifest.bytes == sum(entry.size for entry in entries.values())


@given(trees(), trees())
def test_a_change_gives_the_same_as_building_it_anew(
    old: dict[bytes, Entry], new: dict[bytes, Entry]
) -> None:
    before = Manifest.of(old)
    change = diff(before, Manifest.of(new))

    after = before.changed({path: new[path] for path in (*change.added, *change.changed)}, change.removed)

    assert after.root == Manifest.of(new).root
    assert dict(after) == new
    assert dict(before) == old


@given(trees(), trees())
def test_a_difference_is_what_comparing_every_path_says(
    old: dict[bytes, Entry], new: dict[bytes, Entry]
) -> None:
    change = diff(Manifest.of(old), Manifest.of(new))

    assert set(change.added) == new.keys() - old.keys()
    assert set(change.removed) == old.keys() - new.keys()
    assert set(change.changed) == {path for path in old.keys() & new.keys() if old[path] != new[path]}
    assert change.is_empty == (old == new)


@given(trees(), trees())
def test_text_reads_back_to_the_same_manifest(old: dict[bytes, Entry], new: dict[bytes, Entry]) -> None:
    before, after = Manifest.of(old), Manifest.of(new)

    assert dict(read(full_text(after))) == new
    assert dict(read(delta_text(after, before, 1), before)) == new


@given(trees(), trees())
def test_two_trees_have_one_name_only_when_they_are_equal(
    old: dict[bytes, Entry], new: dict[bytes, Entry]
) -> None:
    assume(old != new)

    assert Manifest.of(old).root != Manifest.of(new).root


def test_the_root_is_the_hash_of_the_listings() -> None:
    page, script = b"<h1>", b"#!"
    inner = f"exec {hashlib.sha256(script).hexdigest()} 2 go%20on\n".encode()
    top = (
        f"link b/go%20on 7 a\n"
        f"tree {hashlib.sha256(inner).hexdigest()} 2 b\n"
        f"file {hashlib.sha256(page).hexdigest()} 4 index.html\n"
    ).encode()

    manifest = Manifest.of(
        {
            b"index.html": Entry("file", Digest.of(page), 4),
            b"b/go on": Entry("exec", Digest.of(script), 2),
            b"a": Entry.link(b"b/go on"),
        }
    )

    assert manifest.folder.listing() == top
    assert manifest.root == hashlib.sha256(top).hexdigest()


def test_an_empty_tree_is_legal() -> None:
    assert EMPTY.root == hashlib.sha256(b"").hexdigest()
    assert read(full_text(EMPTY)) == EMPTY


def test_a_change_shares_the_folders_it_does_not_touch() -> None:
    before = Manifest.of({b"a/x": _file(b"1"), b"b/y": _file(b"2")})

    after = before.changed({b"a/x": _file(b"3")}, [])

    assert after.folder.entries[b"b"] is before.folder.entries[b"b"]
    assert after.folder.entries[b"a"] is not before.folder.entries[b"a"]


def test_the_last_file_takes_its_folder_along() -> None:
    before = Manifest.of({b"a/b/c": _file(b"1"), b"d": _file(b"2")})

    assert before.changed({}, [b"a/b/c"]) == Manifest.of({b"d": _file(b"2")})


def test_a_folder_gives_way_to_a_file_and_back() -> None:
    folder = Manifest.of({b"a/b/c": _file(b"1")})
    plain = Manifest.of({b"a": _file(b"1")})

    assert folder.changed({b"a": _file(b"1")}, [b"a/b/c"]) == plain
    assert plain.changed({b"a/b/c": _file(b"1")}, [b"a"]) == folder


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (b"../x", "leads out"),
        (b"a/../../x", "leads out"),
        (b"/etc/passwd", "empty part"),
        (b"a//b", "empty part"),
        (b"a/", "empty part"),
        (b"./a", "empty part"),
        (b"", "empty part"),
        (b"a\0b", "NUL"),
        (b"d/" + b"x" * 256, "longer than 255"),
        (b"/".join([b"x" * 200] * 20), "longer than 3072"),
        (b"/".join([b"d"] * 34), "32 folders deep"),
    ],
)
def test_a_path_that_could_lead_astray_is_refused(path: bytes, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        Manifest.of({path: _file(b"")})


@pytest.mark.parametrize("order", [(b"a", b"a/b"), (b"a/b", b"a")])
def test_a_file_cannot_be_a_folder_too(order: tuple[bytes, bytes]) -> None:
    with pytest.raises(Invalid, match="a is both a file and a folder"):
        Manifest.of({path: _file(b"") for path in order})


def test_a_file_in_place_of_a_folder_has_nothing_below_it() -> None:
    folder = Manifest.of({b"a/b/c": _file(b"1")})

    with pytest.raises(Invalid, match="both a file and a folder"):
        folder.changed({b"a": _file(b"1"), b"a/b/x": _file(b"2")}, [b"a/b/c"])


@pytest.mark.parametrize("path", [b"nowhere", b"a", b"a/b/c/d", b"../a"])
def test_what_is_not_there_cannot_be_removed(path: bytes) -> None:
    manifest = Manifest.of({b"a/b/c": _file(b"")})

    with pytest.raises(Invalid, match="cannot be removed"):
        manifest.changed({}, [path])


@pytest.mark.parametrize(
    "text",
    [
        b"gitdeploy-manifest 1 full\nfile abc 1 x\n",
        b"gitdeploy-manifest 1 full\nfile " + b"a" * 64 + b" -1 x\n",
        b"gitdeploy-manifest 1 full\nfile " + b"a" * 64 + b" 1\n",
        b"gitdeploy-manifest 1 full\nsock " + b"a" * 64 + b" 1 x\n",
        b"gitdeploy-manifest 1 full\nlink x 2 y\n",
        b"gitdeploy-manifest 1 full\nfile " + b"a" * 64 + b" 1 x",
        b"gitdeploy-manifest 1 full\n" + 2 * (b"file " + b"a" * 64 + b" 1 x\n"),
        "gitdeploy-manifest 1 full\nfile é 1 x\n".encode(),
    ],
)
def test_a_text_that_is_no_manifest_is_refused(text: bytes) -> None:
    with pytest.raises(Invalid):
        read(text)


@pytest.mark.parametrize("text", ["", "A" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n", "../" + "a" * 61])
def test_a_digest_from_outside_is_parsed(text: str) -> None:
    with pytest.raises(Invalid, match="is not a digest"):
        Digest.parse(text)


def test_folders_are_listed_once_and_children_first() -> None:
    same = {b"x": _file(b"1")}
    manifest = Manifest.of({b"a/x": same[b"x"], b"b/x": same[b"x"], b"c/d/x": same[b"x"]})

    digests = [folder.digest for folder in manifest.folder.folders()]

    inner = Folder(same).digest
    assert digests == [inner, Folder({b"d": Folder(same)}).digest, manifest.root]


def _file(content: bytes) -> Entry:
    return Entry("file", Digest.of(content), len(content))
