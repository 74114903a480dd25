"""docs/store-format.md says what is so: its example is checked against the code, its commands are run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from store_kit import blob, file, flip, link, statement

from gitdeploy.domain.manifest import Manifest
from gitdeploy.domain.manifest_text import delta_text, full_text
from gitdeploy.domain.tree import Folder
from gitdeploy.store.artifacts import Store
from gitdeploy.store.home import Home
from gitdeploy.store.publish import NewFile

PAGE = (Path(__file__).parents[2] / "docs" / "store-format.md").read_text()


def example(name: str) -> bytes:
    found = re.search(rf"^```example {name}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1].encode()


def test_the_worked_example_is_what_the_code_makes(store: Store) -> None:
    first = store.publish_whole(
        [
            file("index.html", "hello\n"),
            file("css/main style.css", "p{}\n"),
            file("run", "#!/bin/sh\n", executable=True),
            link("home", "index.html"),
        ],
        like=None,
    ).manifest
    second = store.publish([file("index.html", "hello again\n")], base=first, removed=[b"run"]).manifest
    css = first.folder.entries[b"css"]

    assert isinstance(css, Folder)
    assert first.folder.listing() == example("listing")
    assert css.listing() == example("css")
    assert full_text(first) == example("full")
    assert delta_text(second, first, 1) == example("delta")
    assert f"`{first.root}`" in PAGE
    assert f"`{second.root}`" in PAGE


@pytest.fixture
def artifact(store: Store) -> Manifest:
    """An artifact whose manifest is a change of a change, with names that need care."""
    odd = [
        "a b",
        "a!b",
        "a%b",
        "é",
        "new\nline",
        "back\\slash",
        "d/a b/x",
        "d/a!b/x",
        "d/-n",
        "'quoted\"",
        "d$x/*",
    ]
    files = [*(file(path, path) for path in odd), *(file(f"f/{number}", f"{number}") for number in range(90))]
    manifest = store.publish_whole(
        [*files, link("to", "d/a b"), NewFile(b"\xff", "exec", (b"x",))], like=None
    ).manifest
    for change in ("one", "two"):
        published = store.publish([file("f/1", change), file(f"new {change}", change)], base=manifest, removed=[b"f/2"]
                                  if change == "one" else [b"a b"])  # fmt: skip
        manifest = published.manifest
        store.attest(statement(manifest.root))
    return manifest


def by_hand(home: Home, manifest: Manifest) -> subprocess.CompletedProcess[str]:
    blocks = re.findall(r"^```sh check\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    return subprocess.run(
        ["sh", "-eu", "-c", "\n".join(blocks)],
        cwd=home.store,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "ARTIFACT": manifest.root, "BUILD": "bld_1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_artifact_can_be_checked_by_hand(home: Home, artifact: Manifest) -> None:
    done = by_hand(home, artifact)

    assert done.returncode == 0, done.stderr
    assert "Signature Verified Successfully" in done.stdout
    assert artifact.root in done.stdout


def test_the_check_by_hand_sees_a_flipped_byte(home: Home, artifact: Manifest) -> None:
    flip(blob(home, artifact, "f/7"))

    assert "FAILED" in by_hand(home, artifact).stdout


def test_the_check_by_hand_sees_a_swapped_manifest(store: Store, home: Home, artifact: Manifest) -> None:
    other = store.publish_whole([file("x", "y")], like=None).manifest
    folder = home.store / "artifacts"
    (folder / artifact.root / "manifest.gz").write_bytes((folder / other.root / "manifest.gz").read_bytes())

    assert by_hand(home, artifact).returncode != 0


def test_the_check_by_hand_sees_another_statement(store: Store, home: Home, artifact: Manifest) -> None:
    path = home.store / "artifacts" / artifact.root / "bld_1.dsse.json"
    good = path.read_text()
    store.attest(statement(artifact.root, site="shop"))
    sig = re.compile(r'"sig": "[^"]*"')
    found = sig.search(good)
    assert found is not None
    path.write_text(sig.sub(found[0], path.read_text()))

    assert by_hand(home, artifact).returncode != 0
