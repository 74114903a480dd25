"""The layers of images: whatever the history, they hold exactly the tree; few of them, and little is packed again."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitdeploy.domain.digest import Digest
from gitdeploy.domain.image import MOST_LAYERS, Layer, changes, grow, weight
from gitdeploy.domain.manifest import EMPTY, Entry, Manifest
from gitdeploy.domain.tree import Folder
from gitdeploy.errors import Invalid

NAMES = st.sampled_from([b"a", b"b", b"c", b"a b", b"\xff", "é".encode(), b"z"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map(b"/".join)
ENTRIES = st.one_of(
    st.builds(
        lambda kind, number, size: Entry(kind, Digest.of(b"%d" % number), size),
        st.sampled_from(["file", "exec"]),
        st.integers(0, 5),
        st.sampled_from([0, 1, 100, 5_000, 1_000_000]),
    ),
    st.just(Entry.link(b"a")),
)


@st.composite
def trees(draw: st.DrawFn) -> Manifest:
    found = draw(st.dictionaries(PATHS, ENTRIES, max_size=10))
    kept = {path: one for path, one in found.items() if not any(_above(other, path) for other in found)}
    files = {path: one for path, one in kept.items() if one.kind != "link"}
    links = {path: one for path, one in kept.items() if one.kind == "link"}
    return Manifest(Manifest.of(files).linked({path: one.target for path, one in links.items()}))


def _above(folder: bytes, path: bytes) -> bool:
    return path.startswith(folder + b"/")


def applied(below: dict[bytes, object], old: Manifest, new: Manifest) -> dict[bytes, object]:
    """What an engine makes of a layer on top of what is there: paths to entries, `folder` for a folder."""
    tree = dict(below)
    for one in changes(old, new):
        parent = one.path.rpartition(b"/")[0]
        assert not parent or tree[parent] == "folder", "folders come before what is in them"
        if one.kind == "folder" and tree.get(one.path) == "folder":
            continue
        for path in [path for path in tree if path == one.path or _above(one.path, path)]:
            del tree[path]
        if one.kind != "gone":
            tree[one.path] = "folder" if one.kind == "folder" else one.entry
    return tree


class History:
    """A site's images, one after another; `written` is the weight of all layers that were packed for them."""

    def __init__(self) -> None:
        self.known: dict[Digest, Manifest] = {EMPTY.root: EMPTY}
        self.chain: tuple[Layer, ...] = ()
        self.written = 0

    def add(self, tree: Manifest) -> None:
        self.known[tree.root] = tree
        growth = grow(self.chain, tree, self.known.__getitem__)
        self.chain = self.chain[: growth.kept]
        if growth.below != tree.root:
            assert growth.weight == weight(self.known[growth.below] if growth.below else EMPTY, tree)
            self.chain += (Layer(tree.root, growth.weight, "", "", 0),)
            self.written += growth.weight

    def files(self) -> dict[bytes, object]:
        tree: dict[bytes, object] = {}
        before = EMPTY
        for layer in self.chain:
            tree = applied(tree, before, self.known[layer.artifact])
            before = self.known[layer.artifact]
        return {path: one for path, one in tree.items() if one != "folder"}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
@given(st.lists(trees(), min_size=1, max_size=12))
def test_the_layers_hold_exactly_the_last_tree_whatever_was_there_before(history: list[Manifest]) -> None:
    site = History()
    raw = before = 0
    last = EMPTY
    for tree in history:
        raw += weight(last, tree)
        before = max(before, weight(EMPTY, tree))
        last = tree
        site.add(tree)

        assert site.files() == dict(tree)
        assert len(site.chain) <= min(MOST_LAYERS, 2 + math.log2(2 + before / 1024))
        assert all(
            one.weight > 2 * two.weight for one, two in zip(site.chain, site.chain[1:], strict=False)
        ) or not len(tree)
        assert sum(one.weight for one in site.chain) <= 2 * max(weight(EMPTY, tree), 0) or len(site.chain) < 2
    assert site.written <= raw * (4 + 4 * math.log2(2 + before / 1024))


def _site(files: int, changed: dict[int, int]) -> Manifest:
    """Files of 10 KB; `changed` says which have another content."""
    return Manifest.of(
        {
            b"%d/%d" % (one % 50, one): Entry(
                "file", Digest.of(b"%d %d" % (one, changed.get(one, 0))), 10_000
            )
            for one in range(files)
        }
    )


def test_hundreds_of_small_changes_of_a_large_site_never_pack_most_of_it_again() -> None:
    site, changed = History(), dict[int, int]()
    tree = _site(1_000, {})
    site.add(tree)
    whole, most = site.written, 0
    for number in range(1, 301):
        path = b"%d/%d" % (number * 7 % 50, number * 7 % 1_000)
        changed[number] = number
        tree = tree.changed({path: Entry("file", Digest.of(b"new %d" % number), 10_000)}, ())
        site.add(tree)
        most = max(most, len(site.chain))
        assert site.files() == dict(tree) if number % 100 == 0 else True

    one = 10_000 + 1024
    assert most <= 12
    assert site.written - whole < 300 * one * math.log2(1_000) + whole
    assert site.chain[0].weight <= whole


def test_a_tree_that_was_there_before_is_its_own_part_of_the_chain() -> None:
    site, first = History(), _site(100, {})
    site.add(first)
    site.add(_site(100, {1: 1}))
    written = site.written

    site.add(first)

    assert (len(site.chain), site.written) == (1, written)


def test_a_site_that_was_mostly_replaced_begins_anew() -> None:
    site = History()
    site.add(_site(100, {}))
    for round in range(1, 6):
        site.add(_site(100, dict.fromkeys(range(40), round)))
    assert sum(one.weight for one in site.chain) <= 2 * weight(EMPTY, _site(100, {}))

    site.add(Manifest.of({b"index.html": Entry("file", Digest.of(b""), 0)}))

    assert len(site.chain) == 1


def test_a_name_that_means_a_removed_file_is_refused() -> None:
    tree = Manifest.of({b"css/.wh.a": Entry("file", Digest.of(b""), 0)})

    with pytest.raises(Invalid, match=r"css/\.wh\.a"):
        list(changes(EMPTY, tree))
    assert isinstance(tree.folder.entries[b"css"], Folder)
