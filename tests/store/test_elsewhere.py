"""The same contract for a folder and for a bucket of a real S3 server."""

import os

import buckets
import pytest

from gitdeploy.domain.term import Claim
from gitdeploy.errors import Failed, Invalid, NotFound
from gitdeploy.store.backup_place import BackupPlace
from gitdeploy.store.elsewhere import elsewhere
from gitdeploy.store.terms import Terms


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    with buckets.bucket(tmp_path_factory.mktemp("s3")) as settings:
        yield settings


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path):
    if request.param == "folder":
        return elsewhere(str(tmp_path), {})
    settings = request.getfixturevalue("bucket")
    return elsewhere(f"{settings['copy']}/{tmp_path.name}", settings)


def test_what_was_put_is_there_whole_until_it_is_removed(place, tmp_path):
    large = os.urandom(12_000_000)
    (tmp_path / "source").write_bytes(large)
    place.put("blobs/ab/abcd", tmp_path / "source")
    place.put_bytes("blobs/cd/cdef", b"small")
    place.put_bytes("blobs/cd/cdef", b"smaller")
    place.put_bytes("empty", b"")
    assert b"".join(place.get("blobs/ab/abcd")) == large
    assert b"".join(place.get("blobs/cd/cdef")) == b"smaller"
    assert b"".join(place.get("empty")) == b""
    assert sorted(place.keys("blobs")) == ["blobs/ab/abcd", "blobs/cd/cdef"]
    assert list(place.keys("nothing")) == []
    place.remove(["blobs/ab/abcd", "never/was"])
    assert (place.has("blobs/ab/abcd"), place.has("blobs/cd/cdef")) == (False, True)
    with pytest.raises(NotFound):
        list(place.get("blobs/ab/abcd"))


def test_what_cannot_be_listed_is_not_empty(tmp_path):
    """Else an error of a disk would have all objects of a backup removed as those that nobody needs."""
    place = elsewhere(str(tmp_path), {})
    (tmp_path / "backups").symlink_to("backups")
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects/ab").touch()
    with pytest.raises(Failed, match="symbolic links"):
        list(place.keys("backups"))
    with pytest.raises(Failed):
        BackupPlace(place, "", new=True).collect()
    assert (tmp_path / "objects/ab").exists()


def test_the_greatest_claim_counts(place):
    terms = Terms(place)
    first, low, high = (
        Claim(number, f"srv_{letter * 26}", letter, 2.5)
        for number, letter in ((9, "Z"), (10, "A"), (10, "B"))
    )
    for one in (high, first, low):
        terms.write(one)
    assert terms.claims() == [first, low, high] and terms.read(low).host == "A" and terms.read(low).wait > 2.5
    terms.follows("srv_x", "vm2", "00000010-shp_1")
    place.put_bytes("followers/notes", b"nobody can read this")
    assert terms.followers() == {"srv_x": ("vm2", "00000010-shp_1")}
    terms.forget("srv_x")
    assert terms.followers() == {}


def test_a_disk_that_is_not_mounted_is_not_taken_for_an_empty_one(tmp_path):
    with pytest.raises(Failed, match="no folder"):
        elsewhere(str(tmp_path / "disk"), {}).put_bytes("one", b"")
    assert not (tmp_path / "disk").exists()


def test_a_bucket_that_refuses_says_so(bucket):
    wrong = elsewhere(bucket["copy"], {**bucket, "secret_key": "another-secret-of-more-than-20"})
    with pytest.raises(Failed, match="s3://things/here refuses"):
        wrong.put_bytes("one", b"")


def test_what_is_no_place_is_refused():
    with pytest.raises(Invalid, match="no place"):
        elsewhere("ftp://somewhere", {})
