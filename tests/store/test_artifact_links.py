"""Symbolic links inside an artifact: followed when it is served, refused when they lead astray."""

from __future__ import annotations

import pytest

from gitdeploy.domain.digest import Digest
from gitdeploy.domain.manifest import Entry, Manifest
from gitdeploy.errors import Invalid

PAGE = Entry("file", Digest.of(b"page"), 4)


def tree(links: dict[str, str], *files: str) -> Manifest:
    return Manifest.of(
        {path.encode(): PAGE for path in files}
        | {path.encode(): Entry.link(target.encode()) for path, target in links.items()}
    )


@pytest.mark.parametrize(
    ("links", "files", "leads"),
    [
        ({"a": "b"}, ["b"], ["a", "b"]),
        ({"d/a": "../b"}, ["b"], ["b", "d/a"]),
        ({"a": "d"}, ["d/x", "d/e/y"], ["a/e/y", "a/x", "d/e/y", "d/x"]),
        ({"a": "d/"}, ["d/x"], ["a/x", "d/x"]),
        ({"a": "b", "b": "c"}, ["c"], ["a", "b", "c"]),
        ({"a": "d/./../d//x"}, ["d/x"], ["a", "d/x"]),
        ({"l": "d/e", "a": "l/../x"}, ["d/e/y", "d/x"], ["a", "d/e/y", "d/x", "l/y"]),
        ({"v/now": "2", "v/2/old": "../1"}, ["v/1/x", "v/2/x"],
         ["v/1/x", "v/2/old/x", "v/2/x", "v/now/old/x", "v/now/x"]),
    ],
)  # fmt: skip
def test_a_resolved_tree_has_what_the_links_lead_to(
    links: dict[str, str], files: list[str], leads: list[str]
) -> None:
    resolved = tree(links, *files).resolved()

    assert dict(resolved) == {path.encode(): PAGE for path in leads}


def test_a_tree_without_links_is_its_own_resolution() -> None:
    manifest = tree({}, "a", "b/c")

    assert manifest.resolved() is manifest


@pytest.mark.parametrize(
    ("links", "files"),
    [
        ({"a": "/etc/passwd"}, []),
        ({"a": ".."}, []),
        ({"d/a": "../../x"}, []),
        ({"d/a": "e/../../../x"}, ["d/e/y"]),
        ({"up": "d", "a": "up/../../x"}, ["d/y"]),
        ({"d/deep": "..", "a": "d/deep/../x"}, ["x"]),
    ],
)
def test_a_link_that_leaves_the_site_is_refused(links: dict[str, str], files: list[str]) -> None:
    with pytest.raises(Invalid, match="leads out of the site"):
        tree(links, *files)


def test_a_change_elsewhere_cannot_make_an_old_link_leave_the_site() -> None:
    before = tree({"d/e/a": "../../x"}, "x", "d/e/y", "z/q")

    with pytest.raises(Invalid, match="leads out of the site"):
        before.changed({b"m": Entry.link(b"d/e/../../..")}, [])


@pytest.mark.parametrize("links", [{"a": "a"}, {"a": "b", "b": "a"}, {"d/a": "../d/b", "d/b": "./a"}])
def test_a_circle_is_refused(links: dict[str, str]) -> None:
    with pytest.raises(Invalid, match="leads in a circle"):
        tree(links)


@pytest.mark.parametrize(
    ("links", "files"),
    [({"a": "."}, ["x"]), ({"d/a": ".."}, ["x"]), ({"d/a": "../e", "e/b": "../d"}, ["d/x", "e/x"])],
)
def test_a_link_to_a_folder_around_it_is_refused_when_followed(
    links: dict[str, str], files: list[str]
) -> None:
    with pytest.raises(Invalid, match="would have no end"):
        tree(links, *files).resolved()


@pytest.mark.parametrize(
    ("links", "files"), [({"a": "x"}, []), ({"a": "b/c"}, ["b"]), ({"d/a": "../x/y"}, [])]
)
def test_a_dangling_link_is_refused_when_followed(links: dict[str, str], files: list[str]) -> None:
    with pytest.raises(Invalid, match="which is not there"):
        tree(links, *files).resolved()


@pytest.mark.parametrize("target", ["", "a\0b", "x" * 4000])
def test_a_link_without_a_usable_target_is_refused(target: str) -> None:
    with pytest.raises(Invalid, match="no usable target"):
        tree({"a": target})


def test_links_cannot_make_a_small_site_without_end() -> None:
    bomb = {f"{level}/{side}": f"../{level + 1}" for level in range(30) for side in "ab"}

    with pytest.raises(Invalid, match="more than 1000000"):
        tree(bomb, "30/x").resolved()


def test_links_cannot_make_a_site_too_deep_to_be_served() -> None:
    chain = {f"{level}/next": f"../{level + 1}" for level in range(40)}

    with pytest.raises(Invalid, match="32 folders deep"):
        tree(chain, "40/x").resolved()
