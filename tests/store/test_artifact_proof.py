"""Proof before a switch: whatever was changed on the disk, the artifact is refused and the file is named."""

from __future__ import annotations

import base64
import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from store_kit import TREE, blob, file, flip, link, publish, sealed, statement

from gitdeploy.domain.digest import Digest
from gitdeploy.domain.manifest import Manifest
from gitdeploy.domain.statement import PAYLOAD_TYPE, Statement
from gitdeploy.errors import Invalid, NotProven
from gitdeploy.store.artifacts import Store
from gitdeploy.store.home import Home
from gitdeploy.store.signing import Keys

SITE = {"index.html": "hello", "d/page.html": "a page"}


def prove(store: Store, manifest: Manifest, build_id: str = "bld_1", **more: Any) -> Statement:
    return store.prove(manifest.root, build_id, **{"site": "blog", "tree": TREE, "serving": None, **more})


def envelope(home: Home, manifest: Manifest, build_id: str = "bld_1") -> Path:
    return home.store / "artifacts" / manifest.root / f"{build_id}.dsse.json"


def test_what_was_built_is_proven(store: Store, home: Home) -> None:
    manifest = sealed(store, SITE)

    assert prove(store, manifest) == statement(manifest.root)
    assert prove(Store(home), manifest) == statement(manifest.root)


def test_a_full_check_counts_what_it_read(store: Store) -> None:
    manifest = sealed(store, {**SITE, "again": "hello"})

    verified = store.verify(manifest.root, "bld_1")

    assert (verified.files, verified.bytes) == (3, 16)


def _truncate(path: Path) -> None:
    path.chmod(0o644)
    os.truncate(path, 2)


def _lengthen(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes() + b"!")


def _swap_for_a_link(path: Path) -> None:
    other = path.with_name("other")
    path.rename(other)
    path.symlink_to(other)


DAMAGE: list[tuple[Callable[[Path], None], str]] = [
    (flip, "has other bytes"),
    (lambda path: flip(path, keep_time=False), "was written to"),
    (_truncate, "has 2 bytes instead of 6"),
    (_lengthen, "has 7 bytes instead of 6"),
    (Path.unlink, "is missing"),
    (_swap_for_a_link, "is not a plain file"),
]


@pytest.mark.parametrize(("damage", "says"), DAMAGE)
def test_a_damaged_blob_is_refused_by_name(
    store: Store, home: Home, damage: Callable[[Path], None], says: str
) -> None:
    manifest = sealed(store, SITE)
    damage(blob(home, manifest, "d/page.html"))

    for check in (lambda: prove(store, manifest), lambda: store.verify(manifest.root, "bld_1")):
        with pytest.raises(NotProven, match=rf"d/page\.html in artifact {manifest.root.short} {says}"):
            check()


def test_bytes_that_are_served_or_fresh_are_not_read_again(store: Store, home: Home) -> None:
    live = sealed(store, {"kept": "same", "gone": "old"})
    published = publish(store, {"kept": "same", "new": "fresh"})
    store.attest(statement(published.manifest.root))
    for path in ("kept", "new"):
        flip(blob(home, published.manifest, path))

    prove(store, published.manifest, serving=live, fresh=published.fresh)

    with pytest.raises(NotProven, match="new in artifact"):
        prove(store, published.manifest, serving=live)


def test_a_rollback_looks_at_what_differs_and_a_glance_at_everything(store: Store, home: Home) -> None:
    live = sealed(store, {"kept": "same", "page": "new"})
    old = sealed(store, {"kept": "same", "page": "old"})
    store.glance(live.root)
    flip(blob(home, old, "kept"), keep_time=False)

    prove(store, old, serving=live)
    with pytest.raises(NotProven, match="kept in artifact"):
        prove(store, old)
    with pytest.raises(NotProven, match="kept in artifact"):
        store.glance(live.root)


def test_a_flipped_byte_in_the_manifest_is_refused_even_when_it_is_in_memory(
    store: Store, home: Home
) -> None:
    manifest = sealed(store, SITE)
    prove(store, manifest)
    flip(home.store / "artifacts" / manifest.root / "manifest.gz")

    with pytest.raises(NotProven, match="manifest of artifact"):
        prove(store, manifest)


def test_a_manifest_of_another_artifact_is_refused(store: Store, home: Home) -> None:
    manifest, other = sealed(store, SITE), sealed(store, {"index.html": "evil"})
    for root, source in ((manifest.root, other.root),):
        shutil.copy(home.store / "artifacts" / source / "manifest.gz", home.store / "artifacts" / root)

    with pytest.raises(NotProven, match="manifest of artifact"):
        prove(store, manifest)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"gitdeploy-manifest 1 full\nfile x y z\n",
        b"gitdeploy-manifest 2 full\n",
        b"gitdeploy-manifest 1 delta SELF 1\n",
        b"gitdeploy-manifest 1 delta " + b"0" * 64 + b" 1\n",
        b"gitdeploy-manifest 1 delta SELF 99\n",
    ],
)
def test_a_forged_manifest_is_refused(store: Store, home: Home, text: bytes) -> None:
    manifest = sealed(store, SITE)
    path = home.store / "artifacts" / manifest.root / "manifest.gz"
    path.write_bytes(gzip.compress(text.replace(b"SELF", manifest.root.encode())))

    for one in (store, Store(home)):
        with pytest.raises(NotProven, match="manifest of artifact"):
            prove(one, manifest)


def test_a_damaged_base_refuses_what_was_built_upon_it(store: Store, home: Home) -> None:
    base = sealed(store, {f"f{number}": str(number) for number in range(100)})
    with store.publish([file("f1", "changed")], base=base, removed=[]) as published:
        store.attest(statement(published.manifest.root))
    flip(home.store / "artifacts" / base.root / "manifest.gz")

    with pytest.raises(NotProven, match="manifest of artifact"):
        prove(store, published.manifest)


def test_a_missing_manifest_is_refused(store: Store, home: Home) -> None:
    manifest = sealed(store, SITE)
    (home.store / "artifacts" / manifest.root / "manifest.gz").unlink()

    with pytest.raises(NotProven, match="is not in the store"):
        prove(store, manifest)


def test_what_is_not_signed_is_refused(store: Store) -> None:
    with (
        publish(store, SITE) as published,
        pytest.raises(NotProven, match="Nothing is signed for build bld_1"),
    ):
        prove(store, published.manifest)


def test_a_flipped_byte_in_the_envelope_is_refused(store: Store, home: Home) -> None:
    manifest = sealed(store, SITE)
    path = envelope(home, manifest)
    whole = path.read_bytes()
    for at in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(NotProven):
            prove(store, manifest)


def test_an_envelope_of_another_key_is_refused(store: Store, home: Home, tmp_path: Path) -> None:
    manifest = sealed(store, SITE)
    stranger = Keys(tmp_path / "stranger")
    payload = json.dumps(statement(manifest.root).as_json()).encode()
    envelope(home, manifest).write_bytes(stranger.sign(PAYLOAD_TYPE, payload))

    with pytest.raises(NotProven, match="No trusted key"):
        prove(store, manifest)


def test_a_key_of_a_stranger_under_a_trusted_name_is_refused(
    store: Store, home: Home, tmp_path: Path
) -> None:
    manifest = sealed(store, SITE)
    stranger = Keys(tmp_path / "stranger")
    forged = json.loads(stranger.sign(PAYLOAD_TYPE, json.dumps(statement(manifest.root).as_json()).encode()))
    (trusted,) = store.keys.trusted()
    forged["signatures"][0]["keyid"] = trusted
    envelope(home, manifest).write_text(json.dumps(forged))

    with pytest.raises(NotProven, match="No trusted key"):
        prove(store, manifest)


def test_an_envelope_of_another_site_tree_build_or_artifact_is_refused(store: Store, home: Home) -> None:
    manifest, other = sealed(store, SITE), sealed(store, {"index.html": "evil"})

    with pytest.raises(NotProven, match="was built for blog, not for shop"):
        prove(store, manifest, site="shop")
    with pytest.raises(NotProven, match="from the git tree bbbbbbbbbbbb, not from cccccccccccc"):
        prove(store, manifest, tree="c" * 40)
    shutil.copy(envelope(home, manifest), envelope(home, manifest, "bld_2"))
    with pytest.raises(NotProven, match="is about build bld_1"):
        prove(store, manifest, "bld_2")
    shutil.copy(envelope(home, manifest), envelope(home, other))
    with pytest.raises(NotProven, match=f"not about {other.root.short}"):
        prove(store, other)


def _signed(
    store: Store, home: Home, manifest: Manifest, document: object, payload_type: str = PAYLOAD_TYPE
) -> None:
    envelope(home, manifest).write_bytes(store.keys.sign(payload_type, json.dumps(document).encode()))


@pytest.mark.parametrize(
    "path",
    [
        ("predicate", "buildDefinition", "externalParameters", "debug"),
        ("predicate", "buildDefinition", "internalParameters"),
        ("predicate", "runDetails", "byproducts"),
        ("subject", 0, "uri"),
        ("extra",),
    ],
)
def test_a_signed_statement_that_says_more_than_we_know_is_refused(
    store: Store, home: Home, path: tuple[Any, ...]
) -> None:
    manifest = sealed(store, SITE)
    document: Any = statement(manifest.root).as_json()
    at = document
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = "x"
    _signed(store, home, manifest, document)

    with pytest.raises(NotProven, match="no provenance"):
        prove(store, manifest)


@pytest.mark.parametrize(
    "document", [None, [], {}, {"predicate": []}, "text", {"subject": [{}], "predicate": {}}]
)
def test_a_signed_document_that_is_no_statement_is_refused(
    store: Store, home: Home, document: object
) -> None:
    manifest = sealed(store, SITE)
    _signed(store, home, manifest, document)

    with pytest.raises(NotProven, match="no provenance"):
        prove(store, manifest)


def test_another_payload_type_or_predicate_or_builder_is_refused(store: Store, home: Home) -> None:
    manifest = sealed(store, SITE)
    document = statement(manifest.root).as_json()
    _signed(store, home, manifest, document, "text/plain")
    with pytest.raises(NotProven, match="text/plain"):
        prove(store, manifest)
    _signed(store, home, manifest, {**document, "predicateType": "https://slsa.dev/provenance/v0.2"})
    with pytest.raises(NotProven, match="no provenance"):
        prove(store, manifest)
    document["predicate"]["runDetails"]["builder"]["id"] = "https://elsewhere.example"
    _signed(store, home, manifest, document)
    with pytest.raises(NotProven, match="elsewhere"):
        prove(store, manifest)


@pytest.mark.parametrize("build_id", ["../../keys/x", "", "a/b", ".", "x" * 65])
def test_a_build_id_cannot_lead_elsewhere(store: Store, build_id: str) -> None:
    manifest = sealed(store, SITE)

    with pytest.raises(Invalid, match="is not a build id"):
        prove(store, manifest, build_id)


def test_links_are_part_of_the_proof(store: Store) -> None:
    with store.publish_whole([file("a", "x"), link("b", "a")], like=None) as published:
        store.attest(statement(published.manifest.root))

    prove(store, published.manifest)
    assert store.verify(published.manifest.root, "bld_1").files == 1


def test_a_scrub_finds_what_is_damaged(store: Store, home: Home) -> None:
    manifest = sealed(store, {"a": "one", "b": "two", "c": "three"})
    other = sealed(store, {"d": "four"})
    sealed(store, {"e": "five"}, "bld_5")
    assert store.scrub() == []
    flip(blob(home, manifest, "a"))
    blob(home, manifest, "b").unlink()
    flip(home.store / "artifacts" / other.root / "manifest.gz")
    envelope(home, manifest).write_bytes(b"{}")
    (home.store / "blobs" / "00").mkdir(exist_ok=True)
    (home.store / "blobs" / "00" / "stray").write_bytes(b"")

    found = {(one.where, one.what) for one in store.scrub()}

    name = Digest.of(b"one")
    assert (f"blobs/{name[:2]}/{name}", "The blob has other bytes.") in found
    assert ("blobs/00/stray", "The blob is not named by a digest.") in found
    assert (f"artifacts/{manifest.root}", "b is missing.") in found
    assert {where for where, _ in found} >= {
        f"artifacts/{other.root}/manifest.gz",
        f"artifacts/{manifest.root}/bld_1.dsse.json",
    }
    assert len(found) == 5


def test_the_payload_is_the_whole_provenance(store: Store, home: Home) -> None:
    manifest = sealed(store, SITE)

    stored = json.loads(envelope(home, manifest).read_bytes())

    assert json.loads(base64.b64decode(stored["payload"])) == statement(manifest.root).as_json()
